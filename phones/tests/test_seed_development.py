from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from conftest import bearer
from instances.models import Instance
from phones.models import VirtualPhone

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


def seed() -> dict[str, Any]:
    out = io.StringIO()
    call_command("seed_development", "--json", stdout=out)
    return dict(json.loads(out.getvalue()))


def test_what_it_prints_works(folder: Path) -> None:
    made = seed()
    instance = bearer(made["key"]).get(f"/api/instances/{made['instance']}").json()
    assert (instance["network"], instance["wanted"], instance["state"]) == ("sandbox", "connected", "linking")
    listed = bearer(made["key"]).get("/api/sandbox/phones").json()["results"]
    assert sorted(row["phone"] for row in listed) == sorted(made["phones"])
    operator = {"username": made["operator"]["email"], "password": made["operator"]["password"]}
    assert Client().login(**operator)


def test_the_second_run_keeps_everything(folder: Path) -> None:
    assert seed() == seed()
    assert (User.objects.count(), Instance.objects.count(), VirtualPhone.objects.count()) == (1, 1, 2)


def test_with_another_database_everything_is_made_anew(folder: Path) -> None:
    first = seed()
    Instance.objects.all().delete()
    second = seed()
    assert second["instance"] != first["instance"]
    assert bearer(second["key"]).get(f"/api/instances/{second['instance']}").status_code == 200


def test_only_its_owner_can_read_what_is_kept(folder: Path) -> None:
    seed()
    assert stat.S_IMODE((folder / "development.json").stat().st_mode) == 0o600


def test_production_has_no_seed(folder: Path, settings: Settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError):
        seed()
    assert not User.objects.exists()

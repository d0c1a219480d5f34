from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import Settings

from config import pulse
from config.api import health
from config.tasks import pulse as pulse_task
from conftest import Person, wait_for
from instances.models import Instance

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _alive(settings: Settings) -> None:
    """All is well: nothing to hold, no sandbox, and every process gives its sign of life."""
    settings.SANDBOX_ENABLED = False
    pulse_task()
    pulse.beat("live")


def parts(client: Client, status: int) -> dict[str, Any]:
    answer = client.get("/health")
    assert answer.status_code == status, answer.content
    body: dict[str, Any] = answer.json()
    assert body["status"] == ("ok" if status == 200 else "unhealthy")
    return dict(body["parts"])


def test_all_is_well(client: Client) -> None:
    found = parts(client, 200)
    assert set(found) == {"database", "migrations", "redis", "tasks", "live", "session_workers", "sandbox"}
    assert all(part["ok"] for part in found.values())


@pytest.mark.parametrize(("name", "word"), [("tasks", "task worker"), ("live", "/ws/")])
def test_a_process_without_a_sign_of_life_is_named(client: Client, name: str, word: str) -> None:
    cache.delete(f"pulse:{name}")
    found = parts(client, 503)
    assert word in found[name]["detail"]
    assert [part for part, state in found.items() if not state["ok"]] == [name]


def test_without_redis_the_rest_is_still_told(client: Client, settings: Settings) -> None:
    gone = settings.CACHES["default"] | {"LOCATION": "unix:///nowhere/valkey.sock"}
    settings.CACHES = settings.CACHES | {"default": gone}
    found = parts(client, 503)
    assert "Redis does not answer" in found["redis"]["detail"]
    assert {name for name, state in found.items() if state["ok"]} == {
        "database",
        "migrations",
        "session_workers",
        "sandbox",
    }


def test_a_number_without_a_session_worker_is_told(client: Client, instance: Instance) -> None:
    assert parts(client, 503)["session_workers"] == {"ok": False, "detail": "No session worker for: sandbox."}


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the HTTP library drops a socket that cannot connect
def test_a_sandbox_that_does_not_answer_is_told(client: Client, settings: Settings, alice: Person) -> None:
    settings.SANDBOX_ENABLED, settings.SANDBOX_CONTROL = True, "/nowhere/sandbox.sock"
    found = parts(client, 503)
    assert found["sandbox"] == {"ok": False, "detail": "The sandbox network is not available now."}
    assert found["session_workers"]["detail"] == "No session worker for: sandbox."


@pytest.mark.only_with("sqlite")
def test_without_the_database_the_rest_is_still_told() -> None:
    code = (
        "import django; django.setup();"
        "from django.test import RequestFactory; from config.api.health import health;"
        "answer = health(RequestFactory().get('/health'));"
        "print(answer.status_code, answer.content.decode())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=django_settings.BASE_DIR,
        env=os.environ | {"DATABASE_URL": "sqlite:////nowhere/db.sqlite3", "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
    )
    status, _, body = ended.stdout.partition(" ")
    found = json.loads(body)["parts"]
    assert status == "503"
    assert {name for name, state in found.items() if not state["ok"]} >= {"database", "session_workers"}
    assert "The database does not answer" in found["database"]["detail"]
    assert found["redis"]["ok"]


def test_a_process_that_answers_is_alive(client: Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}


def test_the_version_is_the_one_of_the_file(client: Client) -> None:
    version = (django_settings.BASE_DIR / "VERSION").read_text().strip()
    assert client.get("/api/version").json() == {"name": "whatsapp-api", "version": version}
    assert client.head("/api/version").status_code == 200


def test_a_process_whose_servers_answer_is_ready(client: Client) -> None:
    answer = client.get("/readyz")
    assert (answer.status_code, set(answer.json()["parts"])) == (200, {"database", "migrations", "broker"})


def test_without_the_broker_a_process_is_not_ready(client: Client, settings: Settings) -> None:
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": "unix:///nowhere/valkey.sock"}}
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert [name for name, state in answer.json()["parts"].items() if not state["ok"]] == ["broker"]


@pytest.mark.usefixtures("committed")
def test_a_process_whose_migrations_are_not_applied_is_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    applied = MigrationRecorder(connection)
    applied.record_unapplied("audit", "0002_append_only")
    try:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["parts"]["migrations"]["detail"] == "1 migrations are not applied: run manage.py migrate."
    finally:
        applied.record_applied("audit", "0002_append_only")
    assert client.get("/readyz").status_code == 200


@pytest.mark.only_with("sqlite")
def test_a_postgresql_that_is_away_is_told_after_two_seconds() -> None:
    code = (
        "import time, django; django.setup();"
        "from django.test import RequestFactory; from config.api.health import readyz;"
        "started = time.monotonic(); answer = readyz(RequestFactory().get('/readyz'));"
        "print(answer.status_code, time.monotonic() - started < 4, answer.content.decode())"
    )
    away = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing", "DJANGO_SETTINGS_MODULE": "config.settings"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=django_settings.BASE_DIR,
        env=os.environ | away,
        capture_output=True,
        text=True,
    )
    status, quick, body = ended.stdout.split(" ", 2)
    assert (status, quick) == ("503", "True")
    found = json.loads(body)["parts"]
    assert "does not answer" in found["database"]["detail"]
    assert found["broker"]["ok"]


def test_a_server_that_takes_any_time_not_to_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.2)
    answered, asked = threading.Event(), []

    def hang() -> dict[str, dict[str, Any]]:
        asked.append(1)
        answered.wait(20)
        return {"database": health.part(True)}

    watched = health._Watched(hang)
    started = time.monotonic()
    for _ in range(3):
        assert not watched.parts(["database"])["database"]["ok"]
    assert time.monotonic() - started < 5
    assert len(asked) == 1
    answered.set()
    assert wait_for(lambda: watched.parts(["database"])["database"]["ok"])

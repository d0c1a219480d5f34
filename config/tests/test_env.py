from __future__ import annotations

import os
import runpy
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config import env as E

SECRETS = {"SECRET_KEY": "x" * 50, "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode()}


def start(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in a process that has these variables and none of ours."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", "import config.settings as s; print(s.SECRET_KEY)"],
        cwd=settings.BASE_DIR,
        env=clean | {"VAR_DIR": str(folder)} | variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "staging"),
        ("LOG_LEVEL", "LOUD"),
        ("BCRYPT_ROUNDS", "3"),
        ("BCRYPT_ROUNDS", "many"),
        ("MAX_BODY_BYTES", "-1"),
        ("LEASE_SECONDS", "1.5"),
        ("SESSION_CAPACITY", ""),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("WEBHOOK_PRIVATE_NETWORKS", "everything"),
        ("REDIS_URL", "http://localhost"),
        ("FIELD_ENCRYPTION_KEYS", "short"),
        ("SANDBOX_ENABLED", "perhaps"),
    ],
)
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for secret, text in SECRETS.items():
        monkeypatch.setenv(secret, text)
    runpy.run_path(E.__file__)
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=f"^{name} must be .*") as raised:
        runpy.run_path(E.__file__)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("url", ["mysql://localhost/x", "nonsense", "postgres://localhost:port/x"])
def test_a_bad_setting_stops_the_process_in_one_line(tmp_path: Path, url: str) -> None:
    ended = start(tmp_path, DATABASE_URL=url)
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured: DATABASE_URL ")


@pytest.mark.parametrize("name", SECRETS)
def test_production_refuses_to_start_without_its_own_secrets(tmp_path: Path, name: str) -> None:
    (tmp_path / "secrets.env").write_text("".join(f"{key}={value}\n" for key, value in SECRETS.items()))
    ended = start(tmp_path, ENVIRONMENT="production", **{key: SECRETS[key] for key in SECRETS if key != name})
    assert ended.returncode == 1
    assert f"{name} is not set" in ended.stderr.strip().splitlines()[-1]


def test_production_starts_with_its_own_secrets_and_writes_none(tmp_path: Path) -> None:
    assert start(tmp_path, ENVIRONMENT="production", **SECRETS).stdout.strip() == SECRETS["SECRET_KEY"]
    assert list(tmp_path.iterdir()) == []


def test_development_makes_its_secrets_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = start(tmp_path)
    assert len(first.stdout.strip()) > 50, first.stderr
    assert start(tmp_path).stdout == first.stdout
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    assert start(tmp_path, SECRET_KEY="given").stdout.strip() == "given"

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

PUBLIC = {"PUBLIC_URL": "https://api.example.com"}
SECRETS = {"SECRET_KEY": "x" * 50, "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode()}


def start(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in a process that has these variables and none of ours."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", "import config.settings as s; print(s.SECRET_KEY)"],
        cwd=settings.BASE_DIR,
        env=clean | {"VAR_DIR": str(folder), "ENV_FILE": os.devnull} | variables,
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
        ("WHATSAPP_MEDIA_HOST", "https://example.com/"),
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


def test_all_bad_settings_are_told_at_once(tmp_path: Path) -> None:
    ended = start(tmp_path, LOG_LEVEL="LOUD", BCRYPT_ROUNDS="3", REDIS_URL="http://localhost")
    lines = ended.stderr.strip().splitlines()[-3:]
    assert [line.split(" must be ")[0].split()[-1] for line in lines] == ["LOG_LEVEL", "BCRYPT_ROUNDS", "REDIS_URL"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://me:hush-hush@localhost/x"),
        ("DATABASE_URL", "postgres://me:hush/hush-hush@localhost/x"),
        ("REDIS_URL", "http://:hush-hush@localhost"),
        ("FIELD_ENCRYPTION_KEYS", "hush-hush"),
    ],
)
def test_the_value_of_a_secret_is_not_shown(tmp_path: Path, name: str, value: str) -> None:
    ended = start(tmp_path, **{name: value})
    assert ended.stderr.strip().splitlines()[-1].partition(f"{name} must be ")[2]
    assert "hush" not in ended.stderr.strip().splitlines()[-1]


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("$of a file\n")
    assert start(tmp_path, SECRET_KEY_FILE=str(tmp_path / "key")).stdout == "$of a file\n"
    ended = start(tmp_path, SECRET_KEY_FILE=str(tmp_path / "no such file"))
    assert "SECRET_KEY_FILE must be a readable file" in ended.stderr.strip().splitlines()[-1]


def test_the_file_of_settings_gives_way_to_the_environment(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("# a comment\nSECRET_KEY=of the file\n")
    named = {"ENV_FILE": str(tmp_path / "settings")}
    assert start(tmp_path, **named).stdout == "of the file\n"
    assert start(tmp_path, **named, SECRET_KEY="of the environment").stdout == "of the environment\n"


def test_production_wants_to_know_its_address(tmp_path: Path) -> None:
    ended = start(tmp_path, ENVIRONMENT="production", **SECRETS)
    assert "PUBLIC_URL is not set" in ended.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("name", SECRETS)
def test_production_refuses_to_start_without_its_own_secrets(tmp_path: Path, name: str) -> None:
    (tmp_path / "secrets.env").write_text("".join(f"{key}={value}\n" for key, value in SECRETS.items()))
    ended = start(tmp_path, ENVIRONMENT="production", **PUBLIC, **{key: SECRETS[key] for key in SECRETS if key != name})
    assert ended.returncode == 1
    assert f"{name} is not set" in ended.stderr.strip().splitlines()[-1]


def test_production_starts_with_its_own_secrets_and_writes_none(tmp_path: Path) -> None:
    assert start(tmp_path, ENVIRONMENT="production", **PUBLIC, **SECRETS).stdout.strip() == SECRETS["SECRET_KEY"]
    assert list(tmp_path.iterdir()) == []


def test_development_makes_its_secrets_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = start(tmp_path)
    assert len(first.stdout.strip()) > 50, first.stderr
    assert start(tmp_path).stdout == first.stdout
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600
    assert start(tmp_path, SECRET_KEY="given").stdout.strip() == "given"

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings
from structlog.testing import capture_logs

from config import checks

GOOD: dict[str, Any] = {
    "PRODUCTION": True,
    "SECRET_KEY": "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz",
    "PUBLIC_URL": "https://api.example.com",
    "TRUSTED_PROXIES": [ip_network("10.0.0.0/8")],
    "CORS_ALLOWED_ORIGINS": ["https://app.example.com"],
    "DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql"}},
    "SANDBOX_ENABLED": False,
    "BCRYPT_ROUNDS": 12,
    "WEBHOOK_PRIVATE_NETWORKS": [],
}
BAD: list[tuple[str, str, Any]] = [
    ("E001", "SECRET_KEY", "short"),
    ("E001", "SECRET_KEY", "x" * 80),
    ("E002", "PUBLIC_URL", "http://api.example.com"),
    ("E003", "TRUSTED_PROXIES", [ip_network("0.0.0.0/0")]),
    ("E003", "TRUSTED_PROXIES", [ip_network("::/0")]),
    ("E004", "CORS_ALLOWED_ORIGINS", ["http://app.example.com"]),
    ("W001", "DATABASES", {"default": {"ENGINE": "config.sqlite"}}),
    ("W002", "SANDBOX_ENABLED", True),
    ("W003", "BCRYPT_ROUNDS", 9),
    ("W004", "WEBHOOK_PRIVATE_NETWORKS", [ip_network("10.0.0.0/8")]),
    ("W005", "EMAIL_BACKEND", "django.core.mail.backends.dummy.EmailBackend"),
]


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    from django.conf import settings

    for name, value in GOOD.items():
        monkeypatch.setattr(settings, name, value)
    return monkeypatch


def found() -> list[str]:
    return [str(message.id) for message in checks.check_settings(None)]


def test_good_settings_pass(production: pytest.MonkeyPatch) -> None:
    assert found() == []
    checks.speak()


@pytest.mark.parametrize(("number", "name", "value"), BAD)
def test_a_bad_setting_is_told_in_production_alone(
    production: pytest.MonkeyPatch, number: str, name: str, value: Any
) -> None:
    from django.conf import settings

    production.setattr(settings, name, value)
    assert found() == [f"whatsapp_api.{number}"]
    with capture_logs() as logs:
        if number.startswith("E"):
            with pytest.raises(ImproperlyConfigured, match=f"^whatsapp_api.{number}: {name} "):
                checks.speak()
        else:
            checks.speak()
    assert [entry["id"] for entry in logs] == [f"whatsapp_api.{number}"]
    production.setattr(settings, "PRODUCTION", False)
    assert found() == []


def test_every_check_is_tried() -> None:
    assert {number for number, _, _ in BAD} == {number for _, number, _, _, _ in checks.CHECKS}


def test_djangos_own_check_runs_them(settings: Settings) -> None:
    assert "check_settings" in {check.__name__ for check in run_checks.__self__.registered_checks}  # type: ignore[attr-defined]

"""System checks of settings that start but should not go into production. They speak at boot; errors end the process.

``whatsapp_api.E…`` are errors, ``W…`` warnings; docs/running.md lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import structlog
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register, run_checks
from django.core.exceptions import ImproperlyConfigured

log = structlog.get_logger(__name__)


def _weak(secret: str) -> bool:
    return len(secret) < 50 or len(set(secret)) < 10


CHECKS: list[tuple[type[Error] | type[Warning], str, Callable[[], bool], str, str]] = [
    (
        Error, "E001", lambda: _weak(settings.SECRET_KEY),
        "SECRET_KEY is short or repeats itself.", "Take at least 50 random characters.",
    ),
    (
        Error, "E002", lambda: not settings.PUBLIC_URL.startswith("https://"),
        "PUBLIC_URL is not an https address.", "Tokens and keys must not travel in clear.",
    ),
    (
        Error, "E003", lambda: any(network.prefixlen == 0 for network in settings.TRUSTED_PROXIES),
        "TRUSTED_PROXIES trusts everybody.", "Everybody could choose the address that limits and logs see.",
    ),
    (
        Error, "E004", lambda: any(origin.startswith("http://") for origin in settings.CORS_ALLOWED_ORIGINS),
        "CORS_ALLOWED_ORIGINS names an http origin.", "Whoever is on the way could put scripts into its pages.",
    ),
    (
        Warning, "W001", lambda: settings.DATABASES["default"]["ENGINE"] == "config.sqlite",
        "DATABASE_URL is SQLite.", "It serves one machine; use PostgreSQL.",
    ),
    (
        Warning, "W002", lambda: settings.SANDBOX_ENABLED,
        "SANDBOX_ENABLED is true.", "Test keys then use up your machine for messages that go nowhere.",
    ),
    (
        Warning, "W003", lambda: settings.BCRYPT_ROUNDS < 10,
        "BCRYPT_ROUNDS is below 10.", "Stolen hashes of passwords would be guessed too fast.",
    ),
    (
        Warning, "W004", lambda: bool(settings.WEBHOOK_PRIVATE_NETWORKS),
        "WEBHOOK_PRIVATE_NETWORKS is not empty.", "Tenants can make this machine call addresses in these networks.",
    ),
    (
        Warning, "W005", lambda: settings.EMAIL_BACKEND == "django.core.mail.backends.dummy.EmailBackend",
        "EMAIL_URL names no mail server.", "Nobody can reset a password, verify an address or be invited.",
    ),
]  # fmt: skip


@register(Tags.security)
def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """In production only: a desk may have all of it."""
    return list(_found()) if settings.PRODUCTION else []


def _found() -> Iterator[CheckMessage]:
    for kind, number, is_wrong, message, hint in CHECKS:
        if is_wrong():
            yield kind(message, hint=hint, id=f"whatsapp_api.{number}")


def speak() -> None:
    """For processes that Django's own commands do not start. Raises ImproperlyConfigured for errors."""
    found = [message for message in run_checks(tags=[Tags.security]) if (message.id or "").startswith("whatsapp_api.")]
    for message in found:
        log.warning("check_failed", id=message.id, message=message.msg, hint=message.hint)
    if errors := [f"{message.id}: {message.msg} {message.hint}" for message in found if message.is_serious()]:
        raise ImproperlyConfigured("\n".join(errors))

"""Every environment variable the project reads, typed and checked in one place.

In development (``ENVIRONMENT=development``, the default) missing secrets are generated once into
``VAR_DIR/secrets.env``. In production a missing secret stops the process: no default secret exists.
"""

from __future__ import annotations

import base64
import fcntl
import ipaddress
import os
import secrets
from pathlib import Path

import environ
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
GENERATED = ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS")

_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

env = environ.Env()


def _choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = env.str(name, default=default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def _number(name: str, default: int, low: int, high: int) -> int:
    text = env.str(name, default=str(default))
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise ImproperlyConfigured(f"{name} must be a whole number from {low} to {high}, not {text!r}.")
    return int(text)


def _networks(name: str, default: list[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    texts = env.list(name, default=default)
    try:
        return [ipaddress.ip_network(text) for text in texts]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a comma-separated list of networks: {error}.") from error


def _switch(name: str, default: bool) -> bool:
    value = env.str(name, default=str(default)).lower()
    if value not in _SWITCH:
        raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")
    return _SWITCH[value]


def _keys(name: str) -> list[str]:
    keys: list[str] = env.list(name, default=[])
    try:
        for key in keys:
            Fernet(key)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a comma-separated list of Fernet keys: {error}") from error
    return keys


def _generate_secrets(path: Path) -> None:
    """Write a new file of development secrets unless it exists; safe when several processes start at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.parent / ".secrets.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        values = {
            "SECRET_KEY": secrets.token_urlsafe(64),
            "FIELD_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }
        partial = path.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        partial.rename(path)


ENVIRONMENT = _choice("ENVIRONMENT", "development", ("development", "production"))
PRODUCTION = ENVIRONMENT == "production"
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()

if not PRODUCTION and any(name not in os.environ for name in GENERATED):
    _generate_secrets(VAR_DIR / "secrets.env")
    env.read_env(VAR_DIR / "secrets.env", overwrite=False)

SECRET_KEY = env.str("SECRET_KEY", default="")
FIELD_ENCRYPTION_KEYS = _keys("FIELD_ENCRYPTION_KEYS")
for _name in GENERATED:
    if not globals()[_name]:
        raise ImproperlyConfigured(f"{_name} is not set. In production every secret comes from the environment.")

DATABASE_URL = env.str("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}")
REDIS_URL = env.str("REDIS_URL", default=f"unix://{VAR_DIR / 'run' / 'valkey.sock'}")
if not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured("REDIS_URL must be a redis://, rediss:// or unix:// address.")
RUN_DIR = Path(env.str("RUN_DIR", default=str(VAR_DIR / "run")))

STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "static")))

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
PUBLIC_URL = env.str("PUBLIC_URL", default="" if PRODUCTION else "http://127.0.0.1:8000")
# A peer on a Unix socket is always trusted: only the front server of this machine can open it.
TRUSTED_PROXIES = _networks("TRUSTED_PROXIES", [])
LOG_LEVEL = _choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
BCRYPT_ROUNDS = _number("BCRYPT_ROUNDS", 12, 4, 16)
DATABASE_POOL_SIZE = _number("DATABASE_POOL_SIZE", 16, 2, 500)

WEBHOOK_PRIVATE_NETWORKS = _networks(
    "WEBHOOK_PRIVATE_NETWORKS", [] if PRODUCTION else ["127.0.0.0/8", "::1/128"]
)  # receivers there are allowed although they are not public
MAX_BODY_BYTES = _number("MAX_BODY_BYTES", 1024 * 1024, 1024, 1024 * 1024 * 1024)

SESSION_STORE_DIR = Path(env.str("SESSION_STORE_DIR", default=str(VAR_DIR / "sessions")))
SESSION_CAPACITY = _number("SESSION_CAPACITY", 100, 1, 1000)  # numbers per session worker
LEASE_SECONDS = _number("LEASE_SECONDS", 15, 3, 300)
CHAT_SETTLE_MS = _number("CHAT_SETTLE_MS", 50, 0, 10_000)
SANDBOX_CONTROL = env.str("SANDBOX_CONTROL", default=str(RUN_DIR / "sandbox.sock"))
SANDBOX_ENABLED = _switch("SANDBOX_ENABLED", not PRODUCTION)

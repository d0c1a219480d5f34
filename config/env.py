"""Every environment variable the project reads, typed and checked in one place.

In development (``ENVIRONMENT=development``, the default) missing secrets are generated once into
``VAR_DIR/secrets.env``. In production a missing secret stops the process: no default secret exists.
docs/configuration.md and .env.example are written from here by docs/generate.py. The settings of the launcher alone
stand in stack/options.py.
"""

from __future__ import annotations

import base64
import fcntl
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from config.variables import Per, Reader, read_file

BASE_DIR = Path(__file__).resolve().parent.parent
_LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]


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


_read = Reader(BASE_DIR)

_read.section("Where it runs")
ENV_FILE = _read.path("ENV_FILE", ".env", "A file of lines `NAME=value`; what the environment itself says goes before.")
read_file(ENV_FILE)
ENVIRONMENT = _read.choice(
    "ENVIRONMENT", "development", ("development", "production"), "Production refuses what is only fit for a desk."
)
PRODUCTION = _read.production = ENVIRONMENT == "production"
VAR_DIR = _read.path("VAR_DIR", "var", "Where all data is kept; two products on one machine need one each.").resolve()
RUN_DIR = _read.path("RUN_DIR", "{VAR_DIR}/run", "Sockets.")
STATIC_ROOT = _read.path("STATIC_ROOT", "static", "In production: where `manage.py collectstatic` put the files.")
PUBLIC_URL = _read.url(
    "PUBLIC_URL", Per("http://127.0.0.1:8000", ""), ("https", "http"), "The address under which the outside finds it."
)
if PRODUCTION:
    _read.require("PUBLIC_URL", PUBLIC_URL)
ALLOWED_HOSTS = _read.names(
    "ALLOWED_HOSTS", Per(_LOCAL_HOSTS, []), "Names in `Host` that are answered, besides the one of `PUBLIC_URL`."
)
ALLOWED_HOSTS = list(dict.fromkeys([*ALLOWED_HOSTS, *filter(None, [urlsplit(PUBLIC_URL).hostname])]))
TRUSTED_PROXIES = _read.networks(
    "TRUSTED_PROXIES", [], "Front servers whose `X-Forwarded-For` is believed. One on a Unix socket always is."
)
LOG_LEVEL = _read.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"), "The least that is logged.")

METRICS_DIR = _read.path(
    "METRICS_DIR",
    "{RUN_DIR}/metrics",
    "Where the processes of one machine put their metrics; without that folder `/metrics` knows only the web's own.",
)
METRICS_TOKEN = _read.text(
    "METRICS_TOKEN", "", "The Bearer token that `/metrics` wants. Without one it answers loopback only.", secret=True
)

_read.section("Secrets")
GENERATED = ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS")
if not PRODUCTION and not all(map(_read.has, GENERATED)):
    _generate_secrets(VAR_DIR / "secrets.env")
    read_file(VAR_DIR / "secrets.env")
SECRET_KEY = _read.text(
    "SECRET_KEY",
    "",
    "Signs sessions and tokens: at least 50 random characters. Made by itself in development.",
    secret=True,
)
_read.require("SECRET_KEY", SECRET_KEY)
FIELD_ENCRYPTION_KEYS = _read.fernet_keys(
    "FIELD_ENCRYPTION_KEYS", "Encrypt secrets in the database; the newest stands first. Made by itself in development."
)
_read.require("FIELD_ENCRYPTION_KEYS", FIELD_ENCRYPTION_KEYS)
BCRYPT_ROUNDS = _read.number("BCRYPT_ROUNDS", 12, 4, 16, "Cost of a password's hash: each round more doubles it.")

_read.section("Database and Redis")
DATABASE_URL = _read.database("DATABASE_URL", "sqlite:///{VAR_DIR}/db.sqlite3", "The database: the truth.")
DATABASE_POOL_SIZE = _read.number(
    "DATABASE_POOL_SIZE", 16, 2, 500, "The most connections to PostgreSQL that one process opens."
)
REDIS_URL = _read.url(
    "REDIS_URL",
    "unix://{RUN_DIR}/valkey.sock",
    ("redis", "rediss", "unix"),
    "Redis or Valkey: wake-ups, caches, counters of the rate limits; all of it may be lost.",
    secret=True,
)

_read.section("Requests")
MAX_BODY_BYTES = _read.number(
    "MAX_BODY_BYTES", 1024 * 1024, 1024, 1024 * 1024 * 1024, "The largest request body that is taken."
)
MAX_DATA_BODY_BYTES = _read.number(
    "MAX_DATA_BODY_BYTES",
    16 * 1024 * 1024,
    1024,
    1024 * 1024 * 1024,
    "The same for JSON that may hold files as base64: messages and `/api/media`. Larger files go there as multipart.",
)

CORS_ALLOWED_ORIGINS = _read.origins(
    "CORS_ALLOWED_ORIGINS", [], "Origins whose pages may call `/api/` from a browser, with a token and without cookies."
)

_read.section("Rate limits")
RATE_LIMITS = {
    "anonymous": _read.rate("RATE_LIMIT_ANONYMOUS", "300/m", "By address: requests without valid credentials."),
    "auth": _read.rate("RATE_LIMIT_AUTH", "20/m", "By address: logging in, registering, resetting a password."),
    "email": _read.rate("RATE_LIMIT_EMAIL", "10/15m", "By e-mail address: the same."),
    "user": _read.rate("RATE_LIMIT_USER", "1200/m", "By person."),
    "key": _read.rate("RATE_LIMIT_KEY", "60000/m", "By API key."),
    "organization": _read.rate(
        "RATE_LIMIT_ORGANIZATION", "6000/m", "By organization, where its plan does not allow more."
    ),
}

_read.section("Events")
EVENTS_KEEP_DAYS = _read.number(
    "EVENTS_KEEP_DAYS", 30, 4, 3650, "Days that events can be read, with their deliveries; attempts may take almost 4."
)

_read.section("E-mail")
EMAIL_URL = _read.mail(
    "EMAIL_URL",
    Per("filemail:///{VAR_DIR}/mail", "dummymail://"),
    "The mail server, as `smtp+tls://user:password@host:587`. `filemail:///PATH` makes a file of each e-mail, "
    "`dummymail://` drops them all.",
)
DEFAULT_FROM_EMAIL = _read.text("DEFAULT_FROM_EMAIL", "WhatsApp API <noreply@localhost>", "Who our e-mails come from.")

_read.section("Webhooks")
WEBHOOK_PRIVATE_NETWORKS = _read.networks(
    "WEBHOOK_PRIVATE_NETWORKS",
    Per(["127.0.0.0/8", "::1/128"], []),
    "Networks where receivers are allowed although they are not public.",
)
WEBHOOK_RETRY_SECONDS = _read.waits(
    "WEBHOOK_RETRY_SECONDS",
    [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
    "From each failed attempt of a delivery to the next, give or take a fifth; then it has failed.",
)

_read.section("Live events")
SOCKETS_PER_ORGANIZATION = _read.number(
    "SOCKETS_PER_ORGANIZATION", 1000, 1, 1_000_000, "WebSockets that one organization may have open at a time."
)

_read.section("WhatsApp numbers")
SESSION_STORE_DIR = _read.path(
    "SESSION_STORE_DIR", "{VAR_DIR}/sessions", "WhatsApp's session keys, in clear: who has them has the numbers."
)
KEY_STORE_URL = _read.postgres(
    "KEY_STORE_URL",
    "Keep those keys in this PostgreSQL database instead, through a pooler; without one in a file for each number. For "
    "new links: `manage.py move_keys` moves the others.",
)
SANDBOX_KEY_STORE_URL = _read.postgres(
    "SANDBOX_KEY_STORE_URL", "The same for numbers of the sandbox: another database."
)
KEY_STORE_SHARED = _read.switch(
    "KEY_STORE_SHARED",
    False,
    "Allow one of them to be the application's own database, whose backups would then hold keys.",
)
SESSION_CAPACITY = _read.number("SESSION_CAPACITY", 100, 1, 1000, "Numbers that one session worker holds.")
LEASE_SECONDS = _read.number("LEASE_SECONDS", 15, 3, 300, "A number whose worker died is taken over after this time.")
SESSION_CONNECTS_PER_SECOND = _read.number(
    "SESSION_CONNECTS_PER_SECOND", 20, 1, 1000, "Connections that one session worker starts in a second, at most."
)
SESSION_RECYCLE_HANDLES = _read.number(
    "SESSION_RECYCLE_HANDLES",
    1000,
    50,
    1_000_000,
    "Descriptors or threads beyond what its numbers need with which a session worker is replaced by a new one.",
)
SESSION_SILENT_SECONDS = _read.number(
    "SESSION_SILENT_SECONDS", 300, 2, 86_400, "A number that heard nothing for so long is tried with a question."
)
SESSION_ANSWER_SECONDS = _read.number(
    "SESSION_ANSWER_SECONDS", 20, 1, 60, "Without an answer to it after this time the number is connected anew."
)
SESSION_SEND_SECONDS = _read.number(
    "SESSION_SEND_SECONDS",
    120,
    5,
    600,
    "A number whose message is not acknowledged for so long is connected anew. The client library gives up after 75 s "
    "by itself, but for what it repeats after a reconnect: that it waits for without end.",
)
SESSION_QUARANTINE_SECONDS = _read.number(
    "SESSION_QUARANTINE_SECONDS",
    60,
    1,
    86_400,
    "First quarantine of a number that takes its worker down; four times as long each further time, up to six hours.",
)
CHAT_SETTLE_MS = _read.number(
    "CHAT_SETTLE_MS", 50, 0, 10_000, "Milliseconds that nothing is sent to a contact after a message from there."
)

LINK_SECONDS = _read.number(
    "LINK_SECONDS", 900, 60, 86_400, "For so long QR codes are renewed; then connect has to be called again."
)
LINKS_PER_WORKER = _read.number("LINKS_PER_WORKER", 20, 1, 1000, "Numbers that one session worker links at a time.")
LINKS_PER_ORGANIZATION = _read.number(
    "LINKS_PER_ORGANIZATION", 8, 1, 1000, "Numbers that one organization links at a time."
)
CONNECTION_HISTORY_DAYS = _read.number(
    "CONNECTION_HISTORY_DAYS", 90, 1, 3650, "Days that the history of an instance's connection is kept."
)
PROXY_PRIVATE_NETWORKS = _read.networks(
    "PROXY_PRIVATE_NETWORKS",
    Per(["127.0.0.0/8", "::1/128"], []),
    "Networks where the proxies of instances are allowed although they are not public.",
)

_read.section("Media")
MEDIA_DIR = _read.path(
    "MEDIA_DIR", "{VAR_DIR}/media", "Where files are kept unless S3 keeps them, and while they arrive."
)
MEDIA_S3_BUCKET = _read.text("MEDIA_S3_BUCKET", "", "Keep files in this bucket of an S3-compatible server.")
MEDIA_S3_ENDPOINT = _read.url(
    "MEDIA_S3_ENDPOINT", "", ("https", "http"), "That server's address, if it is not Amazon's."
)
MEDIA_S3_REGION = _read.text("MEDIA_S3_REGION", "us-east-1", "The bucket's region.")
MEDIA_S3_ACCESS_KEY = _read.text(
    "MEDIA_S3_ACCESS_KEY", "", "Key to the bucket; without one, boto3 looks for one.", secret=True
)
MEDIA_S3_SECRET_KEY = _read.text("MEDIA_S3_SECRET_KEY", "", "The secret that goes with it.", secret=True)
if MEDIA_S3_ACCESS_KEY:
    _read.require("MEDIA_S3_SECRET_KEY", MEDIA_S3_SECRET_KEY)
MEDIA_QUOTA_BYTES = _read.number(
    "MEDIA_QUOTA_BYTES", 10 * 1024**3, 0, 2**62, "Bytes that one organization may keep, received files included."
)
MEDIA_KEEP_DAYS = _read.number("MEDIA_KEEP_DAYS", 30, 1, 3650, "Days after its last use that a file to send is kept.")
MEDIA_INBOUND_KEEP_DAYS = _read.number("MEDIA_INBOUND_KEEP_DAYS", 90, 1, 3650, "Days that a received file is kept.")
MEDIA_LINK_SECONDS = _read.number(
    "MEDIA_LINK_SECONDS", 900, 10, 604_800, "Seconds that a signed link to a file is good for."
)
MEDIA_SIGNING_KEY = _read.text(
    "MEDIA_SIGNING_KEY",
    "",
    "Signs links to files; `SECRET_KEY` without one. Another one ends all links that are out.",
    secret=True,
)
MEDIA_FETCH_SECONDS = _read.number("MEDIA_FETCH_SECONDS", 120, 1, 600, "Seconds that fetching a `link` may take.")
MEDIA_PRIVATE_NETWORKS = _read.networks(
    "MEDIA_PRIVATE_NETWORKS", [], "Networks that a `link` may lead to although they are not public."
)
MEDIA_CONVERSIONS = _read.number("MEDIA_CONVERSIONS", 2, 1, 64, "Files that one task worker converts at a time.")
MEDIA_HELD_BYTES = _read.number(
    "MEDIA_HELD_BYTES",
    256 * 1024**2,
    1024**2,
    2**40,
    "Bytes of files that one session worker holds in memory at a time to upload them.",
)
WHATSAPP_MEDIA_HOST = _read.host(
    "WHATSAPP_MEDIA_HOST",
    "mmg.whatsapp.net",
    "Where session workers fetch received files. Those of the sandbox are told theirs when they start.",
)

_read.section("Sandbox")
SANDBOX_ENABLED = _read.switch("SANDBOX_ENABLED", Per(True, False), "Offer the simulated network.")
SANDBOX_CONTROL = str(_read.path("SANDBOX_CONTROL", "{RUN_DIR}/sandbox.sock", "The socket that controls it."))

VARIABLES = tuple(_read.declared)
_read.finish()

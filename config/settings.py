"""Django settings. What varies between installations comes from config/env.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import environ
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from config import env as E
from config import logs
from config.admin_site import UNFOLD as UNFOLD

BASE_DIR = E.BASE_DIR
VAR_DIR = E.VAR_DIR
RUN_DIR = E.RUN_DIR
PRODUCTION = E.PRODUCTION
DEBUG = False
SECRET_KEY = E.SECRET_KEY
FIELD_ENCRYPTION_KEYS = E.FIELD_ENCRYPTION_KEYS
ALLOWED_HOSTS = E.ALLOWED_HOSTS
PUBLIC_URL = E.PUBLIC_URL
TRUSTED_PROXIES = E.TRUSTED_PROXIES
MAX_BODY_BYTES = E.MAX_BODY_BYTES
METRICS_TOKEN = E.METRICS_TOKEN
MAX_DATA_BODY_BYTES = E.MAX_DATA_BODY_BYTES
DATA_UPLOAD_MAX_MEMORY_SIZE = max(E.MAX_BODY_BYTES, E.MAX_DATA_BODY_BYTES)  # BodyLimitMiddleware knows each path's
WEBHOOK_PRIVATE_NETWORKS = E.WEBHOOK_PRIVATE_NETWORKS
WEBHOOK_RETRY_SECONDS = E.WEBHOOK_RETRY_SECONDS
SOCKETS_PER_ORGANIZATION = E.SOCKETS_PER_ORGANIZATION
SESSION_STORE_DIR = E.SESSION_STORE_DIR
KEY_STORE_URLS = {"whatsapp": E.KEY_STORE_URL, "sandbox": E.SANDBOX_KEY_STORE_URL}
KEY_STORE_SHARED = E.KEY_STORE_SHARED
SESSION_CAPACITY = E.SESSION_CAPACITY
LEASE_SECONDS = E.LEASE_SECONDS
SESSION_CONNECTS_PER_SECOND = E.SESSION_CONNECTS_PER_SECOND
SESSION_RECYCLE_HANDLES = E.SESSION_RECYCLE_HANDLES
SESSION_SILENT_SECONDS = E.SESSION_SILENT_SECONDS
SESSION_ANSWER_SECONDS = E.SESSION_ANSWER_SECONDS
SESSION_SEND_SECONDS = E.SESSION_SEND_SECONDS
SESSION_QUARANTINE_SECONDS = E.SESSION_QUARANTINE_SECONDS
CHAT_SETTLE_SECONDS = E.CHAT_SETTLE_MS / 1000
LINK_SECONDS, LINKS_PER_WORKER = E.LINK_SECONDS, E.LINKS_PER_WORKER
LINKS_PER_ORGANIZATION = E.LINKS_PER_ORGANIZATION
CONNECTION_HISTORY_DAYS = E.CONNECTION_HISTORY_DAYS
PROXY_PRIVATE_NETWORKS = E.PROXY_PRIVATE_NETWORKS
SANDBOX_CONTROL = E.SANDBOX_CONTROL
SANDBOX_ENABLED = E.SANDBOX_ENABLED

# --- applications ---------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin.apps.SimpleAdminConfig",  # config/urls.py looks for the pages: no worker needs them
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework_api_key",
    "config",
    "audit",
    "accounts",
    "subscriptions",
    "webhooks",
    "instances",
    "media",
    "messaging",
    "broadcasts",
    "phones",
]

MIDDLEWARE = [
    "config.api.request_id.RequestIdMiddleware",
    "config.api.middleware.ClientAddressMiddleware",
    "config.api.middleware.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "config.api.middleware.CommonMiddleware",
    "config.api.middleware.BodyLimitMiddleware",
    "config.api.middleware.StaticFilesMiddleware",
    "config.api.middleware.SessionMiddleware",
    "config.api.middleware.CsrfViewMiddleware",
    "config.api.middleware.AuthenticationMiddleware",
    "config.api.middleware.OperatorMiddleware",
    "config.api.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- database: the truth --------------------------------------------------------------------


def _database() -> dict[str, Any]:
    config: dict[str, Any] = environ.Env.db_url_config(E.DATABASE_URL)
    if config["ENGINE"].endswith("sqlite3"):
        config["ENGINE"] = "config.sqlite"
        config["CONN_MAX_AGE"] = None  # opening the file and setting the pragmas would be a quarter of a send
        # IMMEDIATE: a transaction that reads and then writes would fail at once when another writes.
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA mmap_size=134217728;"
            "PRAGMA journal_size_limit=27103364;PRAGMA cache_size=-20000",
        }
        config["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
    else:
        config["ENGINE"] = "config.postgresql"
        # After three seconds a try to connect gives up, and the next request begins another: without that its pauses
        # grow as long as the server is away, and requests would wait for the end of the last one.
        pool = {"min_size": 1, "max_size": E.DATABASE_POOL_SIZE, "timeout": 3, "reconnect_timeout": 3}
        config["OPTIONS"] = {"pool": pool}
        config["DISABLE_SERVER_SIDE_CURSORS"] = True  # a pooler in transaction mode cannot keep them
    return config


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis or Valkey: wake-ups, caches, the channel layer; all of it may be lost ---------------

REDIS_URL = E.REDIS_URL
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
    }
}
# Of its own, with short time-outs: a request waits for its rate limits.
CACHES["limits"] = CACHES["default"] | {
    "KEY_PREFIX": "limits",
    "OPTIONS": {"socket_connect_timeout": 0.25, "socket_timeout": 0.25},
}
RATE_LIMITS = E.RATE_LIMITS
RATELIMIT_USE_CACHE = "limits"
RATELIMIT_IP_META_KEY = "config.api.limits.client_address"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # A connection that nobody waited on when Redis ended is found broken at its next use: the first new socket.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "retry": Retry(NoBackoff(), 1)}], "prefix": "live"},
    }
}

# --- files ----------------------------------------------------------------------------------

MEDIA_INCOMING_DIR = E.MEDIA_DIR / "incoming"
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o600, 0o700
if E.MEDIA_S3_BUCKET:
    _FILES: dict[str, Any] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": E.MEDIA_S3_BUCKET,
            "endpoint_url": E.MEDIA_S3_ENDPOINT or None,
            "region_name": E.MEDIA_S3_REGION,
            "access_key": E.MEDIA_S3_ACCESS_KEY or None,
            "secret_key": E.MEDIA_S3_SECRET_KEY or None,
            "signature_version": "s3v4",
            "addressing_style": "path" if E.MEDIA_S3_ENDPOINT else "auto",
            "default_acl": None,
            "querystring_auth": True,
            "querystring_expire": E.MEDIA_LINK_SECONDS,
            "file_overwrite": False,
            "max_memory_size": 1024 * 1024,
        },
    }
else:
    _FILES = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(E.MEDIA_DIR / "kept")},
    }
STORAGES = {"default": _FILES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
MEDIA_QUOTA_BYTES = E.MEDIA_QUOTA_BYTES
EVENTS_KEEP_DAYS = E.EVENTS_KEEP_DAYS
MEDIA_KEEP_DAYS, MEDIA_INBOUND_KEEP_DAYS = E.MEDIA_KEEP_DAYS, E.MEDIA_INBOUND_KEEP_DAYS
MEDIA_LINK_SECONDS, MEDIA_SIGNING_KEY = E.MEDIA_LINK_SECONDS, E.MEDIA_SIGNING_KEY or E.SECRET_KEY
MEDIA_FETCH_SECONDS, MEDIA_PRIVATE_NETWORKS = E.MEDIA_FETCH_SECONDS, E.MEDIA_PRIVATE_NETWORKS
MEDIA_CONVERSIONS, MEDIA_HELD_BYTES = E.MEDIA_CONVERSIONS, E.MEDIA_HELD_BYTES
WHATSAPP_MEDIA_HOST = E.WHATSAPP_MEDIA_HOST

# --- Celery ---------------------------------------------------------------------------------

CELERY_BROKER_URL = f"redis+socket://{REDIS_URL.removeprefix('unix://')}" if REDIS_URL.startswith("unix") else REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "celery:",
    "visibility_timeout": 120,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 1,
    "max_retries": 0,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_DEFAULT_QUEUE = "tasks"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BEAT_SCHEDULE = {
    "pulse": {"task": "config.tasks.pulse", "schedule": 5.0, "options": {"expires": 10}},
    "sweep-deliveries": {"task": "webhooks.tasks.sweep", "schedule": 5.0, "options": {"expires": 10}},
    "sweep-instances": {"task": "instances.tasks.sweep", "schedule": 5.0, "options": {"expires": 10}},
    "sweep-removals": {"task": "instances.tasks.sweep_removals", "schedule": 5.0, "options": {"expires": 10}},
    "sweep-expired": {"task": "subscriptions.tasks.sweep_expired", "schedule": 5.0, "options": {"expires": 10}},
    "sweep-alerts": {"task": "subscriptions.tasks.sweep_alerts", "schedule": 30.0, "options": {"expires": 60}},
    "feed-broadcasts": {"task": "broadcasts.tasks.feed", "schedule": 1.0, "options": {"expires": 2}},
    "sweep-mail": {"task": "accounts.tasks.sweep_mail", "schedule": 30.0, "options": {"expires": 60}},
    "sweep-media": {"task": "media.tasks.sweep", "schedule": 5.0, "options": {"expires": 10}},
    "sweep-preparing": {"task": "messaging.tasks.sweep_preparing", "schedule": 10.0, "options": {"expires": 20}},
    "sweep-previews": {"task": "messaging.tasks.sweep_previews", "schedule": 10.0, "options": {"expires": 20}},
    "collect-media": {"task": "media.tasks.collect", "schedule": 600.0, "options": {"expires": 600}},
    "sweep-history": {"task": "messaging.tasks.sweep_history", "schedule": 30.0, "options": {"expires": 60}},
    "sweep-groups": {"task": "messaging.tasks.sweep_groups", "schedule": 30.0, "options": {"expires": 60}},
    "release-messages": {"task": "messaging.tasks.release", "schedule": 2.0, "options": {"expires": 5}},
    "expire-held": {"task": "messaging.tasks.expire_held", "schedule": 600.0, "options": {"expires": 600}},
    "prune": {"task": "config.tasks.prune", "schedule": 3600.0},
    "prune-instances": {"task": "instances.tasks.prune", "schedule": 3600.0},
    "prune-accounts": {"task": "accounts.tasks.prune", "schedule": 3600.0},
    "prune-messages": {"task": "messaging.tasks.prune", "schedule": 3600.0},
    "prune-broadcasts": {"task": "broadcasts.tasks.prune", "schedule": 3600.0},
    "purge-messages": {"task": "messaging.tasks.purge", "schedule": 3600.0},
    "sweep-erasures": {"task": "messaging.tasks.sweep_erasures", "schedule": 60.0, "options": {"expires": 120}},
    "prune-events": {"task": "webhooks.tasks.prune", "schedule": 3600.0},
}

# --- e-mail -----------------------------------------------------------------------------------

_mail = environ.Env.email_url_config(E.EMAIL_URL)
EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_BACKEND"], _mail["EMAIL_HOST"], _mail["EMAIL_PORT"]
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"] or "", _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH, EMAIL_TIMEOUT = _mail["EMAIL_FILE_PATH"], 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = E.DEFAULT_FROM_EMAIL

# --- people and keys ------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["accounts.hashers.BCryptHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
BCRYPT_ROUNDS = E.BCRYPT_ROUNDS
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
PASSWORD_RESET_TIMEOUT = 3600
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    "ALGORITHM": "HS256",  # the only one that is accepted
    "ISSUER": "whatsapp-api",
    "AUDIENCE": "whatsapp-api",
    "USER_ID_CLAIM": "sub",
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.Credentials", "accounts.authentication.Browser"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.permissions.MayAct"],
    "DEFAULT_RENDERER_CLASSES": [
        "config.api.renderers.JSONRenderer",
        "config.api.browsable.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["config.api.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "config.api.pagination.Pages",
    "EXCEPTION_HANDLER": "config.api.exceptions.handle",
    "VIEW_NAME_FUNCTION": "config.api.browsable.view_name",
    "VIEW_DESCRIPTION_FUNCTION": "config.api.browsable.view_description",
    "DEFAULT_SCHEMA_CLASS": "config.api.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "DEFAULT_GENERATOR_CLASS": "config.api.openapi.Generator",
    "TITLE": "WhatsApp API",
    "VERSION": (BASE_DIR / "VERSION").read_text().strip(),
    "OAS_VERSION": "3.1.1",
    "COMPONENT_SPLIT_PATCH": False,
    "ENFORCE_NON_BLANK_FIELDS": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [],  # shared enumerations are named already
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": True, "docExpansion": "none"},
    "AUTHENTICATION_WHITELIST": ["accounts.authentication.Credentials"],
}

# --- browsers -------------------------------------------------------------------------------

CSRF_FAILURE_VIEW = "config.api.handlers.csrf_failure"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = False  # the front server redirects; a redirected POST would lose its body
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = 31536000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
CONTENT_SECURITY_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# The packages write styles into their pages, but no scripts.
CONTENT_SECURITY_POLICY_PAGES = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
# The admin's theme is driven by Alpine, which compiles the expressions in its pages.
CONTENT_SECURITY_POLICY_ADMIN = f"{CONTENT_SECURITY_POLICY_PAGES}; script-src 'self' 'unsafe-eval'"
CORS_ALLOWED_ORIGINS = E.CORS_ALLOWED_ORIGINS
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "x-api-key", "x-organization", "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = [
    "Idempotent-Replayed", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id",
]  # fmt: skip
if PRODUCTION:  # a name that browsers take only over TLS, from this very host
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
LOGIN_REDIRECT_URL = "admin:index"
SILENCED_SYSTEM_CHECKS = [
    "security.W008",  # see SECURE_SSL_REDIRECT
    "admin.E408", "admin.E409", "admin.E410",  # subclasses of the wanted middleware are in place
    "security.W003",  # likewise
]  # fmt: skip

STATIC_URL = "/static/"
# In development the files are served from the packages; production collects them into the image.
STATIC_ROOT = E.STATIC_ROOT if PRODUCTION else None
WHITENOISE_USE_FINDERS = not PRODUCTION

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = ["config.formats"]

# --- logs -----------------------------------------------------------------------------------

logs.configure()
LOGGING = logs.configuration(E.LOG_LEVEL)

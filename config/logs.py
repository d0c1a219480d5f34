"""Structured logs: one JSON object a line, whichever library speaks.

What identifies the cause (``config.context``) and what is bound through structlog's contextvars (``instance``,
``message``) is on every line. Secrets are never handed to a logger in the first place; ``redact`` is the last line of
defence.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any

import orjson
import structlog
from structlog.tracebacks import Trace, extract

from config import context

_HIDDEN = "[redacted]"
# Names of fields whose values are never shown.
_SECRET_NAMES = re.compile(
    r"passw(or)?d|secret|token|authorization|api_?key|cookie|credential|signature|(^|_)(qr|qr_?code|pairing_?code|ticket)$"
    r"|^(body|text|caption|content|idempotency_key)$",
    re.IGNORECASE,
)
# PostgreSQL shows values in these parts of its complaints, which go on to the end.
_ROWS = r"(?:DETAIL|CONTEXT|LINE \d+):(?s:.*)"
_OURS = frozenset({"level", "logger", "timestamp", "request_id", "organization", "actor", "source"})
_SECRETS = re.compile(
    r"wak_(?:live|test)_[0-9A-Za-z]{8,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # JWT
    r"|whsec_[\w+/=-]{8,}"
    r"|\$2[aby]\$\d\d\$[./0-9A-Za-z]{50,}|pbkdf2_sha256\$\d+\$\S+"
    r"|(?<=://)[^\s/@'\"]*:[^\s/@'\"]+(?=@)"  # user and password in an address
    r"|(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"
    r"|(?<![\w@])2@[\w+/=,.-]{40,}"  # WhatsApp's QR code
    r"|(?i:(?:password|passwd|secret|token|ticket|api[_-]?key|authorization|cookie|idempotency[_-]key)"
    r"(?:['\"]?\s*[=:]|['\"]\s*,)\s*b?['\"]?)(?!\[redacted\])[^\s'\",;&})\]]+"
    r"|(?:\\n|\n)?" + _ROWS
)
_NAMED = re.compile(r"^[A-Za-z_-]+['\"]?\s*[=:,]\s*b?['\"]?")
_QUIET = {
    "httpx": "WARNING",
    "httpcore": "WARNING",
    "asyncio": "WARNING",
    "django.request": "ERROR",  # refused requests are the caller's business
    "django.security": "CRITICAL",  # likewise: foreign hosts and the like
    "django.db.backends": "INFO",  # at DEBUG it shows parameters
    # Celery tells of each task twice; wake-ups and sweeps would drown everything else.
    "celery.worker.strategy": "WARNING",
    "celery.app.trace": "WARNING",
    "celery.beat": "WARNING",
}

Event = MutableMapping[str, Any]


def add_origin(_: Any, __: str, event: Event) -> Event:
    """Say who caused the line, where that is known."""
    origin = context.current()
    if origin.request_id:
        event.setdefault("request_id", origin.request_id)
    if origin.organization_id:
        event.setdefault("organization", origin.organization_id)
    if origin.actor_id:
        event.setdefault("actor", origin.actor_id)
    event.setdefault("source", origin.source)
    return event


def hide_path(_: Any, __: str, event: Event) -> Event:
    """Django names the path of a request it complains of, and a path may hold a token: name the route."""
    request = getattr(event.get("_record"), "request", None)
    path = getattr(request, "path", None)
    if path and isinstance(event.get("event"), str):
        match = getattr(request, "resolver_match", None)
        event["event"] = event["event"].replace(path, match.route if match else "(no route)")
    return event


def redacted(text: str) -> str:
    """The text without what looks like a secret of ours, and without the rows in a database's complaints."""
    return _SECRETS.sub(_hide, text)


def _hide(found: re.Match[str]) -> str:
    name = _NAMED.match(found[0])
    return (name[0] if name and "://" not in found[0] else "") + _HIDDEN


def redact(_: Any, __: str, event: Event) -> Event:
    """structlog processor: hide secrets in all values, however deep."""
    for name, value in event.items():
        if name not in _OURS:
            event[name] = _clean(name, value)
    return event


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _clean(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(name, inner) for inner in value]
    if isinstance(value, bool | int | float | None):
        return value
    if _SECRET_NAMES.search(name):
        return _HIDDEN
    return redacted(value if isinstance(value, str) else str(value))


def add_traceback(_: Any, __: str, event: Event) -> Event:
    """Turn ``exc_info`` into text: types, messages, places; neither locals nor source, and no rows of the database."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    elif isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        event["exception"] = "\n".join(_lines(extract(*info, show_locals=False)))
    return event


def _lines(trace: Trace) -> Iterator[str]:
    for stack in trace.stacks:
        message = re.sub(r"\s*" + _ROWS, "", stack.exc_value)
        yield f"{stack.exc_type}: {message}" + (" (the cause of what stands above)" if stack.is_cause else "")
        yield from (f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in stack.frames[-30:])


_shared: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    add_origin,
]


def _json(event: Event, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode(errors="replace")


def formatter() -> logging.Formatter:
    """Writes any record, of structlog or of the standard library, as one line of JSON."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared,
        processors=[
            hide_path,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            add_traceback,
            redact,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
    )


def configure() -> None:
    """Set structlog up."""
    logging.raiseExceptions = False  # a record that cannot be formatted would be printed with its arguments
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def log_what_nobody_catches() -> None:
    """Replace the interpreter's own words about an uncaught exception, in any thread."""
    log = structlog.get_logger("uncaught")

    def uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, traceback)
        else:
            log.critical("uncaught", exc_info=(kind, error, traceback))

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            name = args.thread.name if args.thread else ""
            log.critical("uncaught", thread=name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))

    sys.excepthook, threading.excepthook = uncaught, uncaught_in_thread


def configuration(level: str) -> dict[str, Any]:
    """Django's LOGGING: everything of at least this level to standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": formatter}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {name: {"level": least} for name, least in _QUIET.items()},
    }

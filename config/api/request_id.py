"""Around every request: its id, its origin, one line in the log and its time in the metrics."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from django.http import HttpRequest, HttpResponse

from config import context, metrics
from config.context import Origin
from config.logs import redacted

log = logging.getLogger("request")
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ID = re.compile(r"[a-z]{3}_[0-9a-z]{26}")
# Whoever asks for these asks often, and is told.
_UNLOGGED = ("/livez", "/readyz", "/health", "/metrics", "/static/")
# What of a URL is bound to every line; other parts may be secrets, such as the token of an invitation.
_BOUND = {"instance_id": "instance", "message_id": "message", "endpoint_id": "endpoint"}


def current_request_id() -> str:
    """The id of the request that this thread serves, or an empty text outside of requests."""
    return context.current().request_id


class RequestIdMiddleware:
    """Outermost middleware: everything inside has an Origin, and every answer carries the id, errors included.

    The id is that of ``X-Request-Id``, or made here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        # Somebody may take a key for an id, which would then be all over the logs.
        usable = _ACCEPTABLE.fullmatch(given) and redacted(given) == given
        request_id = given if usable else f"req_{uuid.uuid4().hex}"
        source = "admin" if request.path_info.startswith("/admin/") else "api"
        token = context.enter(Origin(source, request_id, actor_kind="anonymous"))
        try:
            response = self.get_response(request)
            if not request.path_info.startswith(_UNLOGGED):
                _note(request, response, time.perf_counter() - started)
        finally:
            structlog.contextvars.clear_contextvars()
            context.leave(token)
        response["X-Request-Id"] = request_id
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        for name, value in kwargs.items():
            if name in _BOUND and isinstance(value, str) and _ID.fullmatch(value):
                structlog.contextvars.bind_contextvars(**{_BOUND[name]: value})


def _note(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    match = request.resolver_match
    route = match.route if match else "none"
    method = request.method if request.method in _METHODS else "other"
    assert method is not None
    status = response.status_code
    metrics.HTTP_REQUEST_SECONDS.observe(seconds, route, method, str(status))
    if log.isEnabledFor(logging.INFO):
        # Past the loggers: with them a line takes ten times as long, and here there is nothing to redact.
        sys.stderr.write(_line(method, route, status, seconds, response))


def _line(method: str, route: str, status: int, seconds: float, response: HttpResponse) -> str:
    """A line of JSON; every value is ours or was checked."""
    origin = context.current()
    line = {
        "event": "request",
        "level": "info",
        "logger": "request",
        "timestamp": datetime.now(UTC),
        "request_id": origin.request_id,
        "source": origin.source,
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
        "bytes": None if response.streaming else len(response.content),
        "address": origin.address,
        "actor": origin.actor_id or origin.actor_kind,
        "organization": origin.organization_id,
    }
    line |= structlog.contextvars.get_contextvars()
    return orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE).decode()

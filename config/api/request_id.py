"""Request ids: taken from ``X-Request-Id`` or made here, returned, and part of every log line and audit entry."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from config import context
from config.context import Origin

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def current_request_id() -> str:
    """The id of the request that this thread serves, or an empty text outside of requests."""
    return context.current().request_id


class RequestIdMiddleware:
    """Outermost middleware: everything inside has an Origin, and every answer carries the id, errors included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _ACCEPTABLE.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        source = "admin" if request.path_info.startswith("/admin/") else "api"
        token = context.enter(Origin(source, request_id, actor_kind="anonymous"))
        try:
            response = self.get_response(request)
        finally:
            structlog.contextvars.clear_contextvars()
            context.leave(token)
        response["X-Request-Id"] = request_id
        return response

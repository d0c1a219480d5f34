"""Turns whatever a REST framework view raises into the one problem shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from redis.exceptions import RedisError
from rest_framework import exceptions
from rest_framework.exceptions import ErrorDetail
from rest_framework.response import Response
from rest_framework.views import set_rollback

from config.api.problems import CONTENT_TYPE, FieldError, Problem, escaped
from config.api.renderers import JSONRenderer

log = structlog.get_logger(__name__)

_CODES = {
    exceptions.ParseError: "malformed_json",
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.AuthenticationFailed: "invalid_credentials",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
    exceptions.NotFound: "not_found",
    Http404: "not_found",
    exceptions.PermissionDenied: "permission_denied",
    PermissionDenied: "permission_denied",
    RequestDataTooBig: "body_too_large",
    UnreadablePostError: "invalid_request",
}
# The database does not answer, or gave up: a dead server, an empty pool, a lock that was not to be had.
_AWAY = (OperationalError, InterfaceError, RedisError)


def field_errors(detail: Any, pointer: str = "") -> Iterator[FieldError]:
    """Walk the REST framework's nested error detail."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            path = pointer if name == "non_field_errors" else f"{pointer}/{escaped(name)}"
            yield from field_errors(inner, path)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from field_errors(inner, f"{pointer}/{index}" if nested else pointer)
    else:
        code = detail.code if isinstance(detail, ErrorDetail) else None
        yield FieldError(pointer, code or "invalid", str(detail))


def as_problem(error: Exception) -> Problem | None:
    """The problem that stands for an exception; None for a bug, which stays a 500."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, exceptions.ValidationError):
        errors = list(field_errors(error.detail))
        return Problem("invalid_request", "Some fields are not valid.", errors=errors)
    if isinstance(error, _AWAY):
        log.error("unavailable", error=repr(error))
        return Problem("unavailable", headers={"Retry-After": "5"})
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            detail = str(error.detail) if isinstance(error, exceptions.APIException) else ""
            headers = {"WWW-Authenticate": "Bearer"} if code in ("not_authenticated", "invalid_credentials") else {}
            return Problem(code, detail, headers=headers)
    return None


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """EXCEPTION_HANDLER of the REST framework."""
    problem = as_problem(error)
    if problem is None:
        return None
    set_rollback()
    request = context["request"]
    html = getattr(getattr(request, "accepted_renderer", None), "format", None) == "api"
    if not html:
        # The view's own renderers may know pictures only.
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), "application/json"
    return Response(
        problem.body(),
        status=problem.status,
        headers=problem.headers,
        content_type=None if html else CONTENT_TYPE,
    )

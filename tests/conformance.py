"""Holds every answer and every event of every test against the description of the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema_rs
from django.http import HttpRequest, HttpResponse

from config.api.openapi import document
from webhooks import catalogue, events
from webhooks.api.event_types import schema_of
from webhooks.models import Event

_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


class Conformance:
    """Middleware that raises AssertionError for an answer whose status, code, type or body is not described."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.resolver_match is not None:
            path = "/" + _PARAMETER.sub(r"{\1}", request.resolver_match.route)
            operation = document()["paths"].get(path, {}).get((request.method or "").lower())
            if operation is not None and not response.get("Content-Type", "").startswith("text/html"):
                _check(path, (request.method or "").lower(), response)
        return response


def _check(path: str, method: str, response: HttpResponse) -> None:
    said = f"{method} {path} answered {response.status_code}"
    described = _response(path, method, response.status_code)
    assert described is not None, f"{said}, which is not described: {response.content[:500]!r}"
    if "content" not in described:
        assert response.content == b"", f"{said} with a body that is not described"
        return
    media_type = response["Content-Type"].split(";")[0]
    assert media_type in described["content"], f"{said} as {media_type}, which is not described"
    if media_type.endswith("json") and not response.streaming:
        body = json.loads(response.content)
        for error in _validator(path, method, response.status_code, media_type).iter_errors(body):
            raise AssertionError(f"{said}, which is not as described: {error}")


def _response(path: str, method: str, status: int) -> dict[str, Any] | None:
    found: dict[str, Any] | None = document()["paths"][path][method]["responses"].get(str(status))
    if found and "$ref" in found:
        found = document()["components"]["responses"][found["$ref"].rpartition("/")[2]]
    return found


@cache
def _validator(path: str, method: str, status: int, media_type: str) -> jsonschema_rs.Draft202012Validator:
    described = _response(path, method, status)
    assert described is not None
    schema = {**described["content"][media_type]["schema"], "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


# --- events ---------------------------------------------------------------------------------


class Arbitrary(dict[str, Any]):
    """Data of an event that stands for any, in tests of the log itself."""


def watch_events() -> None:
    """Have every event held against the schema of its type before it is written."""
    write = events._row

    def checked(event: Event) -> tuple[Any, ...]:
        arbitrary = isinstance(event.data, Arbitrary)
        row = write(event)
        if not arbitrary:
            check_event(event.type, event.data)
        return row

    events._row = checked


def check_event(type_: str, data: Any) -> None:
    """Raises AssertionError for data that is not as the catalogue describes it."""
    if data.get("test") is True and type_ != "webhook.test":  # any type may be tried with its example
        data = {name: value for name, value in data.items() if name != "test"}
    for error in _of_event(type_).iter_errors(data):
        raise AssertionError(f"an event {type_} is not as described: {error}")


@cache
def _of_event(type_: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema_of(catalogue.contents()[type_].shape), validate_formats=True)

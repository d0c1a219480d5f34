"""The catalogue of event types as JSON: for `GET /api/event-types`, for the description of the API, for the docs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.components import REF, schema_components
from config.api.views import APIView
from webhooks import catalogue

_REF = "#/$defs/{name}"


def schema_of(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """A JSON Schema that stands alone."""
    (reference,), definitions = schema_components([shape], _REF)
    return {**reference, "$defs": definitions}


def example_of(type_: str) -> dict[str, Any]:
    """A whole event of a type, as listeners get it."""
    data = dict(catalogue.contents()[type_].example)
    instance = "ins_01h455vb4pex5vsknk084sn02q"
    of_instance = type_ not in catalogue.OF_ORGANIZATION
    return {
        "id": "evt_01h455vb4pex5vsknk084sn02q",
        "type": type_,
        "version": catalogue.VERSION,
        "timestamp": "2026-11-23T09:30:00.120Z",
        "instance": instance if of_instance else None,
        "sequence": 1042,
        "data": data,
    }


@cache
def event_types() -> Mapping[str, Any]:
    """Each type; the schemas refer to `$defs` of the same document, since many have parts in common."""
    contents = catalogue.contents()
    shapes = list(dict.fromkeys(content.shape for content in contents.values()))
    references, definitions = schema_components(shapes, _REF)
    reference_of = dict(zip(shapes, references, strict=True))
    results = [
        {
            "type": type_,
            "group": type_.partition(".")[0],
            "description": catalogue.TYPES[type_],
            "version": catalogue.VERSION,
            "schema": reference_of[content.shape],
            "example": example_of(type_),
        }
        for type_, content in contents.items()
    ]
    return {"results": results, "$defs": definitions}


def describe(document: dict[str, Any]) -> None:
    """Add the `webhooks` of an OpenAPI document: what is posted to endpoints."""
    contents = catalogue.contents()
    shapes = list(dict.fromkeys(content.shape for content in contents.values()))
    references, components = schema_components(shapes)
    reference_of = dict(zip(shapes, references, strict=True))
    known = document["components"]["schemas"]
    for name, schema in components.items():
        if known.setdefault(name, schema) != schema:
            raise ValueError(f"two different shapes are named {name}")
    document["webhooks"] = {
        type_: {"post": _webhook(type_, reference_of[content.shape])} for type_, content in contents.items()
    }


def _webhook(type_: str, data: dict[str, Any]) -> dict[str, Any]:
    narrowed = {"properties": {"type": {"const": type_}, "data": data}}
    schema = {"allOf": [{"$ref": REF.format(name="Event")}, narrowed]}
    return {
        "summary": type_,
        "description": f"{catalogue.TYPES[type_]} Signed by Standard Webhooks: see docs/webhooks.md.",
        "tags": ["Events"],
        "security": [],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": example_of(type_)}},
        },
        "responses": {"2XX": {"description": "Taken."}, "410": {"description": "Nothing is wanted any more."}},
    }


class EventTypesView(APIView):
    """What there is to listen to."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        return Response(event_types())

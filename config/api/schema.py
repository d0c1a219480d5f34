from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta

from config.api import docs, health, metrics, root
from config.api.operations import Operation, Operations, OptionalText, Shape, Tag


class Version(Shape):
    name: str
    version: str


class Alive(Shape):
    status: Literal["ok"]


class Part(Shape):
    ok: bool
    detail: OptionalText = UNSET


class Health(Shape):
    """The state of every part, by its name."""

    status: Literal["ok", "unhealthy"]
    version: str
    parts: dict[str, Part]


class Route(Shape):
    url: str
    title: str


class Root(Shape):
    routes: list[Route]


class OpenApi(msgspec.Struct):
    """An OpenAPI 3.1 document."""

    openapi: Annotated[str, Meta(pattern="^3\\.1\\.")]
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


_DOCUMENT = {"$ref": "#/components/schemas/OpenApi"}
TAG = Tag("Service", "Versions, health, and this description.")
OPERATIONS: Operations = {
    root.RootView.get: Operation(
        "Entry points",
        "What the caller may read without knowing any id.",
        answers={200: Root},
        problems=["not_authenticated", "invalid_credentials", "invalid_token", "address_not_allowed", "not_found"],
    ),
    docs.SchemaView.get: Operation(
        "This description",
        "As JSON or YAML, by `Accept` or `?format=`.",
        answers={200: OpenApi},
        media={kind.media_type: _DOCUMENT for kind in docs.SchemaView.renderer_classes[1:]},
    ),
    health.version: Operation(
        "The version that answers", answers={200: Version}, problems=["rate_limited"], plain=True
    ),
    metrics.show: Operation(
        "Metrics for Prometheus",
        "With `METRICS_TOKEN` as a Bearer token; without such a setting, from this machine alone.",
        answers={200: None},
        media={"text/plain": {"type": "string"}},
        problems=["invalid_credentials", "permission_denied"],
        plain=True,
    ),
    health.livez: Operation("Does this process answer?", answers={200: Alive}, plain=True),
    health.readyz: Operation(
        "Can this process do its work?",
        "Asks the database, its migrations and the broker.",
        answers={200: Health, 503: Health},
        plain=True,
    ),
    health.health: Operation(
        "The state of every part", answers={200: Health, 503: Health}, problems=["rate_limited"], plain=True
    ),
}

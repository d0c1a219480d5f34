"""OpenAPI 3.1 from the code: the described operations, and what all of them share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from importlib import import_module
from threading import Lock
from typing import Any, NamedTuple, cast

import msgspec
import uritemplate
from django.conf import settings
from django.urls import URLPattern
from drf_spectacular import generators, openapi
from drf_spectacular.utils import Direction
from rest_framework.views import APIView  # noqa: TID251 (only a type)

from config.api.additions import additions
from config.api.components import REF
from config.api.operations import Operation, ProblemDetails, Tag, operation_of, schema_of
from config.api.problems import CATALOGUE, CONTENT_TYPE
from config.api.serializers import Input

_PLAIN_MODULES = ("config.api.health", "config.api.metrics")
_EVERYWHERE = ["X-Request-Id", "RateLimit", "RateLimit-Policy"]
_WORDS = {
    200: "Done.",
    201: "Created.",
    202: "Accepted.",
    204: "Done; no body.",
    206: "A part of it.",
    302: "It is elsewhere.",
    503: "Unhealthy.",
}

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The id of this request, yours if you sent one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
    },
    "RateLimit": {
        "description": "What is left, by policy: `r` requests, renewed in `t` seconds.",
        "schema": {"type": "string"},
        "example": '"key";r=59999;t=60, "organization";r=5999;t=60',
    },
    "RateLimit-Policy": {
        "description": "The policies that counted the request: `q` requests in `w` seconds.",
        "schema": {"type": "string"},
        "example": '"key";q=60000;w=60, "organization";q=6000;w=60',
    },
    "Idempotent-Replayed": {
        "description": "This is the first answer to the Idempotency-Key, given again.",
        "schema": {"const": "true"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next attempt.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "RequestId": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Your id for this request: letters, digits, `.`, `_`, `:`, `-`. Anything else is replaced.",
        "schema": {"type": "string"},
        "example": "req-42",
    },
    "Organization": {
        "name": "X-Organization",
        "in": "header",
        "description": "Which organization is meant, for people of several; the first one joined without it.",
        "schema": {"type": "string"},  # an example would be filled in by Swagger UI, and refused
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A POST sent again with its key within 24 hours gets the first answer, not a second effect.",
        "schema": {"type": "string", "pattern": r'^(?!""$)[!-~]([ -~]{0,253}[!-~])?$'},
    },
    "Limit": {
        "name": "limit",
        "in": "query",
        "description": "How many objects a page has.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
    },
    "Cursor": {
        "name": "cursor",
        "in": "query",
        "description": "Opaque; from the links of a page.",
        "schema": {"type": "string"},
    },
}


def _tags() -> list[Tag]:
    """Of all apps with operations, in the order of the installed apps; what belongs to none comes last."""
    names = {schema_of(callback.cls, method).__name__ for *_, method, callback in _Endpoints().get_api_endpoints()}
    order = {app: place for place, app in enumerate(settings.INSTALLED_APPS) if app != "config"}

    def place(name: str) -> tuple[int, str]:
        return order.get(name.partition(".")[0], len(order) + 1), name

    return [import_module(name).TAG for name in sorted(names, key=place)]


def problem_codes(operation: Operation, *, scope: str | None, method: str) -> list[str]:
    """Every code an operation may refuse with, in the order of the catalogue."""
    codes = {"internal_error", *operation.problems}
    if not operation.plain:
        codes |= {"not_acceptable", "unknown_parameter", "rate_limited", "unavailable", "not_found"}
    if operation.body or operation.query or operation.paged:
        codes.add("invalid_request")
    if operation.paged:
        codes.add("invalid_cursor")
    if operation.body:
        codes |= {"malformed_json", "unsupported_media_type", "body_too_large", "length_required"}
    if scope is not None:
        codes |= {"not_authenticated", "invalid_credentials", "invalid_token", "address_not_allowed"}
        codes |= {"missing_scope", "permission_denied"}
        if method != "GET":
            codes |= {"csrf_failed", "organization_suspended"}
    if method == "POST":
        codes |= {"invalid_request", "idempotency_key_in_use", "idempotency_key_reused"}
    return [code for code in CATALOGUE if code in codes]


class AutoSchema(openapi.AutoSchema):
    """One operation, from its entry in OPERATIONS. A method without one is left out, and a test complains."""

    @property
    def described(self) -> Operation:
        return cast(Operation, operation_of(type(self.view), self.method))

    def is_excluded(self) -> bool:
        return operation_of(type(self.view), self.method) is None

    def get_tags(self) -> list[str]:
        return [schema_of(type(self.view), self.method).TAG.name]

    def get_operation_id(self) -> str:
        name = type(self.view).__name__.removesuffix("View")
        return f"{self.method.lower()}{name}"

    def get_summary(self) -> str:
        return self.described.summary

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular has it
        scope = self._scope
        needs = f"Needs `{scope}`." if scope else ""
        return "\n\n".join(part for part in (self.described.description, needs) if part)

    @property
    def _scope(self) -> str | None:
        scope = getattr(self.view, "scopes", {}).get(self.method)
        return cast("str | None", scope)

    def get_auth(self) -> list[dict[str, Any]]:
        auth: list[dict[str, Any]] = super().get_auth()
        return auth if self.view.permission_classes or not auth else [*auth, {}]  # without any works as well

    # --- what goes in -----------------------------------------------------------------------

    def _get_parameters(self) -> list[dict[str, Any]]:
        parameters = [_path_parameter(name) for name in uritemplate.variables(self.path)]
        if self.described.query:
            parameters += self._query_parameters(self.described.query)
        if self.described.media and not self.described.plain:
            formats = [name for name in self.map_renderers("format") if name != "api"]
            parameters.append({"name": "format", "in": "query", "schema": {"type": "string", "enum": formats}})
        shared = ["RequestId"]
        shared += ["Organization"] if self._scope else []
        shared += ["IdempotencyKey"] if self.method == "POST" else []
        shared += ["Limit", "Cursor"] if self.described.paged else []
        return parameters + [{"$ref": f"#/components/parameters/{name}"} for name in shared]

    def _query_parameters(self, query: type[Input]) -> list[dict[str, Any]]:
        mapped = self._map_serializer(query, "request")
        required = mapped.get("required", [])
        return [
            {
                "name": name,
                "in": "query",
                "schema": schema,
                **({"required": True} if name in required else {}),
                **({"description": schema.pop("description")} if "description" in schema else {}),
            }
            for name, schema in mapped["properties"].items()
        ]

    def _get_request_body(self, direction: Direction = "request") -> dict[str, Any] | None:
        body = self.described.body
        if body is None:
            return None
        media: dict[str, Any] = {"schema": self._component(body, direction)}
        if self.described.example is not None:
            media["example"] = self.described.example
        if self.described.examples:
            media["examples"] = {name: {"value": body} for name, body in self.described.examples.items()}
        others = {name: {"schema": dict(schema)} for name, schema in self.described.body_media.items()}
        return {"content": {"application/json": media, **others}, "required": self.described.body_required}

    def _component(self, kind: type[Input] | type[msgspec.Struct], direction: Direction) -> dict[str, Any]:
        """A reference to the schema of a body or an answer."""
        return self.resolve_serializer(cast(Any, kind), direction).ref

    # --- what comes out ---------------------------------------------------------------------

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        responses = {str(status): self._success(status) for status in self.described.answers}
        codes = problem_codes(self.described, scope=self._scope, method=self.method)
        self._component(ProblemDetails, direction)
        for status in sorted({CATALOGUE[code][0] for code in codes}):
            responses[str(status)] = _refusal(status, [code for code in codes if CATALOGUE[code][0] == status])
        return responses

    def _success(self, status: int) -> dict[str, Any]:
        names = _EVERYWHERE + (["Idempotent-Replayed"] if self.method == "POST" else [])
        response: dict[str, Any] = {"description": _WORDS[status], "headers": _headers(names)}
        answer, media = self.described.answers[status], {}
        if answer is not None:
            media["application/json"] = {"schema": self._component(answer, "response")}
        if status in (200, 206):
            media |= {name: {"schema": dict(schema)} for name, schema in self.described.media.items()}
        return response | ({"content": media} if media else {})


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
    narrowed = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
    schema = {"allOf": [{"$ref": REF.format(name="ProblemDetails")}, narrowed]}
    names = _EVERYWHERE + (["Retry-After"] if status in (409, 429, 503) else [])
    return {
        "description": "\n".join(f"- `{code}`: {CATALOGUE[code][1]}" for code in codes),
        "headers": _headers(names),
        "content": {CONTENT_TYPE: {"schema": schema}},
    }


class _PlainView(APIView):
    """Stands for a view that is a function: a subclass gets the function as its ``get``."""

    authentication_classes = ()
    permission_classes = ()


class _Endpoints(generators.EndpointEnumerator):
    def _get_api_endpoints(self, patterns: Any, prefix: str) -> list[tuple[str, str, str, Any]]:
        patterns = self.patterns if patterns is None else patterns
        found: list[tuple[str, str, str, Any]] = super()._get_api_endpoints(patterns, prefix)
        for pattern in patterns:
            if isinstance(pattern, URLPattern) and getattr(pattern.callback, "__module__", "") in _PLAIN_MODULES:
                stand_in = type(pattern.callback.__name__, (_PlainView,), {"get": pattern.callback})
                regex = prefix + str(pattern.pattern)
                view = cast("type[APIView]", stand_in).as_view()
                found.append((self.get_path_from_regex(regex), regex, "GET", view))
        return found


class Generator(generators.SchemaGenerator):
    """Adds the plain views, which are no views of the REST framework."""

    endpoint_inspector_cls = _Endpoints

    def _initialise_endpoints(self) -> None:
        super()._initialise_endpoints()
        for *_, method, callback in self.endpoints or ():  # the schema modules may hold extensions
            operation_of(callback.cls, method)


def _share_responses(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Replace the commonest refusals of each status by references; returns what they refer to."""
    found = [
        (operation["responses"], status)
        for path in schema["paths"].values()
        for operation in path.values()
        for status in operation["responses"]
        if CONTENT_TYPE in operation["responses"][status].get("content", ())
    ]
    tally = Counter((status, json.dumps(responses[status])) for responses, status in found)
    commonest = {status: text for (status, text), _ in reversed(tally.most_common())}
    for responses, status in found:
        if json.dumps(responses[status]) == commonest[status]:
            responses[status] = {"$ref": f"#/components/responses/{_response_name(status)}"}
    return {_response_name(status): json.loads(text) for status, text in sorted(commonest.items())}


def _response_name(status: str) -> str:
    return HTTPStatus(int(status)).phrase.title().replace(" ", "").replace("-", "")


class EntryPoint(NamedTuple):
    """A route that can be read without knowing anything; ``scope`` is None where nobody needs one."""

    path: str
    title: str
    scope: str | None


@lru_cache(maxsize=1)
def entry_points() -> list[EntryPoint]:
    found = []
    for path, _, method, callback in _Endpoints().get_api_endpoints():
        operation = operation_of(callback.cls, method)
        if operation and method == "GET" and "{" not in path and not operation.plain:
            found.append(EntryPoint(path, operation.summary, getattr(callback.cls, "scopes", {}).get(method)))
    return found


_building = Lock()


def document() -> dict[str, Any]:
    """The whole description; built once per process, since it only changes with the code."""
    with _building:  # the library cannot build two at once
        return _document()


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    schema = Generator().get_schema(request=None, public=True)
    schema["tags"] = [tag._asdict() for tag in _tags()]
    schema["components"] |= {"headers": HEADERS, "parameters": PARAMETERS, "responses": _share_responses(schema)}
    for add in additions:
        add(schema)
    return cast("dict[str, Any]", json.loads(json.dumps(schema)))

"""What routes take and answer, as data: each app's ``api/schema.py`` fills ``OPERATIONS`` with these.

The shapes of answers are msgspec structs that are only described, never built: answers stay plain
dictionaries, and a test holds them against the shapes, in which no undescribed field is allowed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from config.api.serializers import Input

if TYPE_CHECKING:
    from rest_framework.views import APIView  # noqa: TID251 (only a type)

T = TypeVar("T")
Method = Callable[..., Any]
OptionalText = str | msgspec.UnsetType
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_EXAMPLE = "01h455vb4pex5vsknk084sn02q"


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    """Base of all described answers. A field with UNSET as its default may be missing."""


class Page(Shape, Generic[T]):
    """Newest first. `next` and `previous` are URLs with an opaque cursor, or null at the ends."""

    next: Annotated[str, Meta(extra_json_schema={"format": "uri"})] | None
    previous: Annotated[str, Meta(extra_json_schema={"format": "uri"})] | None
    results: list[T]


def identifier(prefix: str) -> Meta:
    """Of an id such as ``ins_…``, for ``Annotated[str, identifier("ins")]``."""
    return Meta(pattern=f"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$", examples=[f"{prefix}_{_EXAMPLE}"])


Moment = Annotated[datetime, Meta(examples=["2026-11-23T09:30:00.000Z"])]
Phone = Annotated[str, Meta(pattern="^[1-9][0-9]{6,14}$", examples=["15550100001"])]


class FieldProblem(Shape):
    pointer: Annotated[str, Meta(description="JSON pointer into the request, such as `/text/body`.")]
    code: str
    detail: str


class ProblemDetails(msgspec.Struct):
    """An error by RFC 9457. Build on `code`; some codes add members of their own."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    code: str
    detail: str
    request_id: str
    errors: list[FieldProblem] | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route.

    ``answers`` are those of success; what every route may refuse with is added, ``problems`` are the codes
    beyond. ``media`` are other forms of a 200 or 206, ``{media type: schema}``, ``body_media`` of the body. ``paged``
    adds limit and cursor, ``query`` the fields of an input. ``example`` is a body, ``examples`` are some by name. A
    ``plain`` view takes no heed of ``Accept``.
    """

    summary: str
    description: str = ""
    answers: Mapping[int, type[msgspec.Struct] | None] = field(default_factory=dict)
    body: type[Input] | type[msgspec.Struct] | None = None
    body_required: bool = True
    query: type[Input] | None = None
    paged: bool = False
    problems: Iterable[str] = ()
    media: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    body_media: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plain: bool = False
    example: Mapping[str, Any] | None = None
    examples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def parameters(self) -> frozenset[str]:
        """What may stand in the query of the address; ``format`` chooses among the forms of every answer."""
        fields = self.query().fields if self.query else ()
        return frozenset({"format", *fields, *(("limit", "cursor") if self.paged else ())})


class Tag(NamedTuple):
    """How an app's operations are called together: the ``TAG`` of its ``api/schema.py``."""

    name: str
    description: str


Operations = Mapping[Method, Operation]


def schema_of(view: type[APIView], method: str) -> Any:
    """The ``schema`` module beside the module of a view's method: it has OPERATIONS and a TAG."""
    module = inspect.unwrap(getattr(view, method.lower())).__module__
    return import_module(f"{module.rpartition('.')[0]}.schema")


def operation_of(view: type[APIView], method: str) -> Operation | None:
    """The description of a view's method; None for one without, such as OPTIONS."""
    if method not in _METHODS:
        return None
    function = inspect.unwrap(getattr(view, method.lower()))
    return _described(schema_of(view, method)).get(function)


@cache
def _described(module: Any) -> dict[Method, Operation]:
    return {inspect.unwrap(method): operation for method, operation in module.OPERATIONS.items()}

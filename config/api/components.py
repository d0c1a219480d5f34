"""The schemas of bodies, answers and fields, for the description of the API; loaded with it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, cast

import msgspec
from django.db.models import TextChoices
from drf_spectacular import openapi
from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import ComponentIdentity, ResolvedComponent
from drf_spectacular.utils import Direction
from rest_framework.fields import CharField

from config.api.serializers import NOT_BLANK, Input

REF = "#/components/schemas/{name}"
_NO_NULL = r"^[^\u0000]*$"


def _choices(kind: type) -> dict[str, Any]:
    """Django's choices are enumerations that msgspec does not know as such."""
    if issubclass(kind, TextChoices):
        return {"type": "string", "enum": kind.values}
    raise NotImplementedError(kind)


def schema_components(kinds: Iterable[Any], reference: str = REF) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """References to the schemas of structs, and all schemas by name; ``reference`` has a place for the ``name``."""
    found, components = msgspec.json.schema_components(kinds, schema_hook=_choices, ref_template=reference)
    return list(found), dict(components)


class StructSchema(OpenApiSerializerExtension):
    """msgspec structs, as bodies and as answers; the structs inside become components of their own.

    A struct with ``alternatives`` (tagged structs) is one of these; the first one's tag may be left out.
    """

    target_class = msgspec.Struct
    match_subclasses = True

    def get_name(self, auto_schema: openapi.AutoSchema, direction: Direction) -> str:
        return cast(str, self.target.__name__)

    def get_identity(self, auto_schema: openapi.AutoSchema, direction: Direction) -> Any:
        return ComponentIdentity(self.target.__name__)

    def map_serializer(self, auto_schema: openapi.AutoSchema, direction: Direction) -> dict[str, Any]:
        """Raises ValueError for two structs of one name."""
        kinds = getattr(self.target, "alternatives", ())
        _, components = schema_components([*kinds] or [self.target])
        name = self.get_name(auto_schema, direction)
        if kinds:
            components[name] = _one_of(self.target, kinds, components)
        for other in components.keys() - {name}:
            part = ResolvedComponent(other, ResolvedComponent.SCHEMA, components[other], ComponentIdentity(other))
            auto_schema.registry.register_on_missing(part)
            if auto_schema.registry[part].schema not in (None, components[other]):
                raise ValueError(f"two different shapes are named {other}")
        return cast("dict[str, Any]", components[name])


def _one_of(kind: type, kinds: Iterable[Any], components: dict[str, Any]) -> dict[str, Any]:
    """One of several structs by their tag; the first is also meant when there is none."""
    names = {one.__struct_config__.tag: one.__name__ for one in kinds}
    field = next(iter(kinds)).__struct_config__.tag_field
    components[next(iter(names.values()))]["required"].remove(field)
    mapping = {tag: REF.format(name=name) for tag, name in names.items()}
    return {
        "description": inspect.getdoc(kind),
        "oneOf": [{"$ref": reference} for reference in mapping.values()],
        "discriminator": {"propertyName": field, "mapping": mapping},
    }


def _without_alternatives(schema: dict[str, Any]) -> dict[str, Any]:
    """A text that may be blank, in one schema where drf-spectacular makes two."""
    match schema:
        case {"oneOf": [{"type": "string"} as text, {"type": "string", "maxLength": 0}], **others}:
            return text | others
    return schema


class InputSchema(OpenApiSerializerExtension):
    """Request bodies refuse what they do not know."""

    target_class = Input
    match_subclasses = True

    def map_serializer(self, auto_schema: openapi.AutoSchema, direction: Direction) -> dict[str, Any]:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        properties = {name: _without_alternatives(value) for name, value in schema["properties"].items()}
        schema |= {"properties": properties, "additionalProperties": False, **self.target.json_schema}
        if self.target.partial:
            schema.pop("required", None)
        schema.pop("description", None)
        own_words = vars(type(self.target)).get("__doc__")
        return schema | ({"description": own_words} if own_words else {})


class CharFieldSchema(OpenApiSerializerFieldExtension):
    """Texts have no null characters and, unless they may be blank, something besides spaces.

    A field that takes less than any text says so in ``json_schema``.
    """

    target_class = CharField
    match_subclasses = True

    def map_serializer_field(self, auto_schema: openapi.AutoSchema, direction: Direction) -> dict[str, Any]:
        schema = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)
        if isinstance(schema.get("type"), list):
            schema["type"] = "string"  # whoever asked adds the null once more
        general = {"pattern": _NO_NULL} if self.target.allow_blank else {"minLength": 1, "pattern": NOT_BLANK}
        return general | schema | getattr(self.target, "json_schema", {})

"""docs/events.md: every event type, from the catalogue."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

HEAD = """# Events

Written by `docs/generate.py` from `webhooks/catalogue.py`. They come by [webhook](webhooks.md), by the
[live socket](live.md) and by [request](pulling.md), and look the same everywhere. `GET /api/event-types` has this page
as JSON, with a JSON Schema of each type; the description of the API (`/api/schema`) has them as `webhooks`.

- `id`: the same however often and on whatever way the event comes. `type`: below. `timestamp`: when it was written.
- `instance`: whose event it is; null where it is the organization's own. `sequence` counts the events of the instance,
  or the organization's own, without a gap.
- `version`: of what `data` looks like, 1 everywhere. New fields may come without notice: ignore what you do not know.
- An event has less than 20 kB. Of what would be larger, long texts and lists are cut, and `data` has
  `"truncated": true`: `GET /api/messages/{id}` gives all of a message. Files are never in it: `GET /api/media/{id}`.
- With `"test": true` in its `data` somebody tries a webhook endpoint, and nothing of it has happened.
- When a person's data is erased, events that named the person keep their place; what is left of `data` names nobody and
  has `"erased": true`.
"""


def page() -> str:
    from webhooks import catalogue
    from webhooks.api.event_types import example_of, schema_of

    contents = catalogue.contents()
    lines = [HEAD]
    for group, types in itertools.groupby(sorted(catalogue.TYPES, key=_group), _group):
        lines += [f"## `{group}.*`", ""]
        for type_ in types:
            name = contents[type_].shape.__name__
            lines += [f"### `{type_}`", "", f"{catalogue.TYPES[type_]} `data`: [{name}](#{name.lower()}).", ""]
            example = json.dumps(example_of(type_), indent=2, ensure_ascii=False)
            lines += ["<details><summary>Example</summary>", "", "```json", example, "```", "", "</details>", ""]
    lines += ["## Data", ""]
    for shape in dict.fromkeys(content.shape for content in contents.values()):
        lines += [f"### {shape.__name__}", "", *_table(schema_of(shape)["$defs"][shape.__name__]), ""]
    return "\n".join(lines)


def _group(type_: str) -> str:
    return type_.partition(".")[0]


def _table(schema: Mapping[str, Any]) -> Iterator[str]:
    if "description" in schema:
        yield from (schema["description"], "")
    yield from ("| field | type | meaning |", "|---|---|---|")
    for name, field in schema["properties"].items():
        optional = "" if name in schema.get("required", ()) else ", may be missing"
        yield f"| `{name}` | {_kind(field)}{optional} | {_meaning(field)} |"


def _meaning(field: Mapping[str, Any]) -> str:
    own = [field, *field.get("anyOf", ())]
    return next((one["description"].replace("|", "\\|") for one in own if "description" in one), "")


def _kind(field: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    match field:
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"anyOf": list(kinds)}:
            return " or ".join(dict.fromkeys(map(_kind, kinds)))
        case {"enum": list(values)}:
            return ", ".join(f"`{value}`" for value in values)
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"type": "array", "items": item}:
            return f"list of {_kind(item)}"
        case {"type": "string", "format": "date-time"}:
            return "moment"
    return str(field.get("type", "any"))

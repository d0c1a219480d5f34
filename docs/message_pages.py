"""Pages of docs/messages: one per type, from the structs, the examples and the recorded answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ANSWERS = Path(__file__).parent / "messages" / "answers"
ADDRESS = "http://127.0.0.1:8000"

INTRODUCTIONS: dict[str, str] = {
    "text": (
        "Up to 65,536 characters, as in WhatsApp itself. `type` may be left out.\n\n"
        "With `link_preview` the first link of the text is fetched before the message is sent, and its title, "
        "description and picture are shown; a preview that cannot be made does not hold the message up. A link is "
        "looked at once in ten minutes, for a scheduled message when it leaves. It is off by default. "
        "`background` colours a status."
    ),
    "image": (
        "JPEG or PNG; other pictures are converted. Name the file by `id` (of an upload), `link` or `data`. The "
        "message is `preparing` until its file is ready."
    ),
    "video": "MP4 with H.264; other videos are converted. `gif` plays by itself, `round` is a video note.",
    "audio": (
        "With `voice` it is a voice note, converted to Ogg with Opus, with its waveform. Only a voice note can have "
        "`view_once`."
    ),
    "document": "Any file, shown by its `filename`.",
    "sticker": "WebP of 512 by 512 pixels, still or animated; other pictures are converted.",
    "location": "A place on the map.",
    "live_location": (
        "A place that moves. WhatsApp shows it as live for as long as newer ones follow: send another with a higher "
        "`sequence`."
    ),
    "contacts": (
        "Cards of up to 257 people, in the shape of Meta's Cloud API. `wa_id` makes a number one that can be written "
        "to."
    ),
    "poll": (
        "2 to 12 different options of up to 100 characters. `selectable` is how many one may choose, 0 any number. "
        "Votes come as messages of type `poll_vote`. Not in channels and status posts."
    ),
    "event": (
        "A date to which people can say that they come. `call` is the link of a WhatsApp call. The engine sends it as "
        "the library does, which has no stanza of its own for events; older phones may not show it."
    ),
    "group_invite": "An invitation to a group: `code` is the end of its link (`chat.whatsapp.com/CODE`).",
    "album": (
        "2 to 30 images and videos that are shown together. Each becomes a message of its own, with its own id, "
        "states and receipts; it names the album in `album`. All are accepted or none."
    ),
    "forward": (
        "Sends the content of a message again, marked as forwarded: the answer is a message of the original's type. "
        "Texts, files, places, contacts and invitations can be forwarded, to another chat too."
    ),
    "reaction": (
        "One emoji at a message; an empty one takes the reaction back. There is one reaction of a person at a "
        "message, so another replaces it. Not in channels."
    ),
    "edit": (
        "New words for a message of yours: `text` of a text, `caption` of an image, video or document, within 15 "
        "minutes after it was sent (`too_old`)."
    ),
    "revoke": (
        "Deletes a message for everyone: yours within 60 hours, and in a group of which the number is an admin "
        "anybody's."
    ),
    "pin": (
        "Pins a message at the top of its chat for everyone: for a day (86400 seconds), a week (604800) or 30 days "
        "(2592000); 0 unpins."
    ),
}
_ABOUT = (
    "`message_id` is our id or WhatsApp's of a message of the same chat. Refused: `message_not_found`, `not_sent_yet`, "
    "`not_yours`, `too_old`, `not_applicable`."
)
_GENERAL = ("type", "instance", "to", "client_ref")


@cache
def _schemas() -> dict[str, Any]:
    from config.api.openapi import document

    return dict(document()["components"]["schemas"])


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return {**_schemas()[name], **{key: value for key, value in schema.items() if key != "$ref"}} if name else schema


def _limits(schema: dict[str, Any]) -> str:
    match schema:
        case {"enum": values}:
            return " or ".join(f"`{value}`" for value in values)
        case {"type": "array", "maxItems": most, **others}:
            return f"list of {others.get('minItems', 0)} to {most:,}"
        case {"type": "array"}:
            return "list"
        case {"type": "string", "maxLength": most, **others}:
            return f"text of {others.get('minLength', 0):,} to {most:,}"
        case {"type": "string", "format": "date-time"}:
            return "moment (RFC 3339)"
        case {"type": "string"}:
            return "text"
        case {"type": "integer" | "number" as kind, "minimum": low, "maximum": high}:
            return f"{'whole number' if kind == 'integer' else 'number'} from {low:,} to {high:,}"
        case {"anyOf": [first, {"type": "null"}]}:
            return f"{_limits(_resolved(first))}, or null"
        case {"type": "boolean"}:
            return "true or false"
    return "object"


def _rows(name: str, schema: dict[str, Any], required: bool) -> Iterator[str]:
    schema = _resolved(schema)
    description = schema.get("description", "").replace("\n", " ")
    yield f"| `{name}` | {_limits(schema)} | {'yes' if required else ''} | {description} |"
    items = _resolved(schema.get("items", {}))
    if "anyOf" in items:
        items = _merged([_resolved(one) for one in items["anyOf"]])
    inner, prefix = (items, f"{name}[].") if items.get("properties") else (schema, f"{name}.")
    for field, part in inner.get("properties", {}).items():
        yield from _rows(f"{prefix}{field}", part, field in inner.get("required", ()))


def _merged(alternatives: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields of tagged structs in one object."""
    first = alternatives[0]
    tags = [value for one in alternatives for value in one["properties"]["type"]["enum"]]
    properties = {name: part for one in alternatives for name, part in one["properties"].items()}
    return {"properties": {**properties, "type": {"enum": tags}}, "required": first["required"]}


def _fields(type_: str) -> list[str]:
    from messaging.kinds.sends import TYPES

    schema = _schemas()[TYPES[type_].__name__]
    lines = ["| field | value | required | |", "|---|---|---|---|"]
    for name, part in schema["properties"].items():
        if name not in _GENERAL:
            lines += _rows(name, part, name in schema["required"])
    return lines


def command(body: dict[str, Any]) -> str:
    """The curl command that sends a body."""
    words = json.dumps(body | {"instance": "INSTANCE"}, ensure_ascii=False, indent=2).replace("'", "'\\''")
    return (
        f"curl -s {ADDRESS}/api/messages \\\n  -H 'Authorization: Bearer KEY' -H 'Content-Type: application/json' \\\n"
        f"  -d '{words}'"
    )


def page(type_: str) -> str:
    """docs/messages/TYPE.md."""
    from messaging.kinds.examples import EXAMPLES

    title = type_.replace("_", " ").capitalize()
    answer = (ANSWERS / f"{type_}.json").read_text().strip()
    about = [_ABOUT, ""] if "message_id" in EXAMPLES[type_][type_] else []
    return "\n".join(
        [
            f"# {title}",
            "",
            "Written by `docs/generate.py`. What all types share: [README.md](README.md).",
            "",
            INTRODUCTIONS[type_],
            "",
            *about,
            "```sh",
            command(EXAMPLES[type_]),
            "```",
            "",
            "The answer, `202`:",
            "",
            "```json",
            answer,
            "```",
            "",
            *_fields(type_),
            "",
        ]
    )

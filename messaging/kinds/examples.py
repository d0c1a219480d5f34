"""A good body of each type, for the description of the API, the docs and the tests."""

from __future__ import annotations

from typing import Any

_MESSAGE = "msg_01h455vb4pex5vsknk084sn02q"
_LINK = "https://example.com/"


def _example(type_: str, content: Any, to: str = "15550100002", **attributes: Any) -> dict[str, Any]:
    base = {"instance": "ins_01h455vb4pex5vsknk084sn02q", "to": to, "type": type_}
    return base | {type_: content} | attributes


EXAMPLES: dict[str, dict[str, Any]] = {
    "text": _example("text", {"body": "Hello"}),
    "image": _example("image", {"link": f"{_LINK}photo.jpg", "caption": "Our new shop"}),
    "video": _example("video", {"link": f"{_LINK}tour.mp4", "caption": "A tour"}),
    "audio": _example("audio", {"link": f"{_LINK}hello.mp3", "voice": True}),
    "document": _example("document", {"link": f"{_LINK}invoice.pdf", "filename": "invoice.pdf"}),
    "sticker": _example("sticker", {"link": f"{_LINK}smile.webp"}),
    "location": _example(
        "location", {"latitude": 52.516275, "longitude": 13.377704, "name": "Brandenburger Tor", "address": "Berlin"}
    ),
    "live_location": _example(
        "live_location", {"latitude": 52.516275, "longitude": 13.377704, "accuracy_m": 10, "sequence": 1}
    ),
    "contacts": _example(
        "contacts",
        [
            {
                "name": {"formatted_name": "Ada Lovelace", "first_name": "Ada", "last_name": "Lovelace"},
                "phones": [{"phone": "+1 555 010 0003", "type": "WORK", "wa_id": "15550100003"}],
                "emails": [{"email": "ada@example.com", "type": "WORK"}],
                "org": {"company": "Analytical Engines"},
            }
        ],
    ),
    "poll": _example("poll", {"question": "Lunch?", "options": ["Soup", "Salad"], "selectable": 1}),
    "event": _example(
        "event",
        {
            "name": "Opening",
            "starts_at": "2026-12-01T18:00:00.000Z",
            "ends_at": "2026-12-01T20:00:00.000Z",
            "description": "Drinks at six.",
            "location": {"name": "Our shop", "address": "Main Street 1"},
        },
    ),
    "group_invite": _example(
        "group_invite", {"group": "120363000000000001@g.us", "code": "AbCdEfGh12345678", "name": "Customers"}
    ),
    "album": _example(
        "album",
        {
            "items": [
                {"type": "image", "link": f"{_LINK}one.jpg", "caption": "One"},
                {"type": "image", "link": f"{_LINK}two.jpg"},
            ]
        },
    ),
    "forward": _example("forward", {"message_id": _MESSAGE}),
    "reaction": _example("reaction", {"message_id": _MESSAGE, "emoji": "\U0001f44d"}),
    "edit": _example("edit", {"message_id": _MESSAGE, "text": {"body": "Hello!"}}),
    "revoke": _example("revoke", {"message_id": _MESSAGE}),
    "pin": _example("pin", {"message_id": _MESSAGE, "seconds": 604_800}),
}

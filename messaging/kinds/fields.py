"""The fields that several types share. The limits are WhatsApp's own; docs/messages/README.md lists them."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from instances.whatsapp.jids import PERSON, RECIPIENT

MAX_TEXT, MAX_CAPTION, MAX_MENTIONS, MAX_AUDIENCE = 65_536, 1024, 256, 1000
MAX_DATA = 24 * 2**20  # characters of base64; larger files are uploaded or linked
# For descriptions of the API; `messaging.api.payload` refuses null characters everywhere.
_NO_NULL = r"^[^\u0000]*$"


def _text(low: int, high: int, **schema: Any) -> Meta:
    return Meta(min_length=low, max_length=high, extra_json_schema={"pattern": _NO_NULL} | schema)


Body = Annotated[str, _text(1, MAX_TEXT)]
Caption = Annotated[str, _text(1, MAX_CAPTION)]
Line = Annotated[str, _text(1, 256)]
Paragraph = Annotated[str, _text(1, 2048)]
Url = Annotated[str, _text(1, 2000)]
ClientRef = Annotated[str, _text(1, 200)]
Emoji = Annotated[str, _text(0, 32), Meta(description="Empty to take the reaction back.")]
Link = Annotated[
    str,
    _text(1, 2000, pattern=r"^https?://[^\u0000]+$"),
    Meta(pattern="^https?://.", description="`http` or `https`; fetched once, before the message is sent."),
]
Base64 = Annotated[
    str,
    _text(1, MAX_DATA, pattern="^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"),
    Meta(description="The file itself in base64; `POST /api/media` takes larger ones."),
]
MediaId = Annotated[
    str, Meta(pattern="^med_[0-7][0-9a-hjkmnp-tv-z]{25}$", description="Of a file from `POST /api/media`.")
]
MimeType = Annotated[str, Meta(max_length=100, pattern=r"^[\w.+-]+/[\w.+-]+$")]
Filename = Annotated[str, _text(1, 255)]
MessageId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.-]{1,80}$",
        description="Ours (`msg_…`) or WhatsApp's.",
        examples=["msg_01h455vb4pex5vsknk084sn02q"],
    ),
]
To = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=80,
        description="A phone number with country code in any spelling, or the JID of a person, group or channel, "
        "or `status`.",
        examples=["15550100002", "120363000000000001@g.us"],
        extra_json_schema={"pattern": RECIPIENT},
    ),
]
Person = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=80,
        description="A phone number, or the JID or LID of a person.",
        extra_json_schema={"pattern": PERSON},
    ),
]
Latitude = Annotated[float, Meta(ge=-90, le=90)]
Longitude = Annotated[float, Meta(ge=-180, le=180)]

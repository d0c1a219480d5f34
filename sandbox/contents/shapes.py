"""What a phone can be told to write: the `content` of each type, as docs/sandbox.md lists it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sandbox.errors import BadArguments

Filled = Annotated[str, Meta(min_length=1, max_length=65_536)]
UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Number = Annotated[int, Meta(ge=0, le=2**53)]  # such as a time
FILES = ("image", "video", "gif", "round", "audio", "voice", "document", "sticker")


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    pass


class LinkPreview(Shape):
    url: Filled
    title: str
    description: str = ""
    thumbnail: bytes = b""


class Text(Shape):
    body: Filled
    link_preview: LinkPreview | None = None


class File(Shape):
    """An attachment: exactly one of `data` (base64), `path` and `bytes` (so many random ones)."""

    data: bytes | None = None
    path: str | None = None
    length: Annotated[int, Meta(gt=0)] | None = msgspec.field(name="bytes", default=None)
    caption: str | None = None
    filename: str | None = None
    mimetype: str | None = None
    width: UInt32 | None = None
    height: UInt32 | None = None
    seconds: UInt32 | None = None
    pages: UInt32 | None = None
    waveform: bytes | None = None
    thumbnail: bytes | None = None
    animated: bool = False


class AlbumItem(File):
    type: Literal["image", "video"] = "image"


class Album(Shape):
    items: Annotated[list[AlbumItem], Meta(min_length=1)]


class Location(Shape):
    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    url: str = ""


class LiveLocation(Shape):
    latitude: float
    longitude: float
    accuracy_m: UInt32 = 0
    speed_mps: Annotated[float, Meta(ge=0, le=1e6)] = 0
    heading_degrees: UInt32 = 0
    caption: str = ""
    sequence: Number = 0


class Card(Shape):
    name: str
    vcard: str


class Poll(Shape):
    question: Filled
    options: Annotated[list[Filled], Meta(min_length=1)]
    selectable: UInt32 = 1


class PollVote(Shape):
    message_id: str
    options: list[str]


class Reaction(Shape):
    message_id: str
    emoji: str


class Edit(Shape):
    message_id: str
    body: Filled


class Revoke(Shape):
    message_id: str


class Pin(Shape):
    message_id: str
    seconds: UInt32


class GroupInvite(Shape):
    group: str
    code: str = ""
    name: str = ""
    caption: str = ""
    expires_at: Number = 0


class Event(Shape):
    name: Filled
    starts_at: Number
    ends_at: Number = 0
    description: str = ""
    location: Location | None = None
    call: str = ""
    cancelled: bool = False


class EventResponse(Shape):
    message_id: str
    response: Literal["going", "not_going", "maybe"]


class Unsupported(Shape):
    kind: str = "requestPhoneNumberMessage"


class Undecryptable(Shape):
    body: Filled = "Nobody will ever read this."


class Attributes(Shape):
    """What goes with a content."""

    reply_to: str = ""
    mentions: list[str] = []
    mention_all: bool = False
    view_once: bool = False
    forwarded: bool = False
    expires_in: UInt32 = 0


SHAPES: dict[str, Any] = {
    "text": Text,
    **dict.fromkeys(FILES, File),
    "album": Album,
    "location": Location,
    "live_location": LiveLocation,
    "contacts": list[Card],
    "poll": Poll,
    "poll_vote": PollVote,
    "reaction": Reaction,
    "edit": Edit,
    "revoke": Revoke,
    "pin": Pin,
    "group_invite": GroupInvite,
    "event": Event,
    "event_response": EventResponse,
    "unsupported": Unsupported,
    "undecryptable": Undecryptable,
}


def shaped(kind: str, content: Any) -> Any:
    """The checked content of a type.  Raises BadArguments."""
    if kind not in SHAPES:
        raise BadArguments(f"type is one of {', '.join(SHAPES)}")
    try:
        return msgspec.convert(content, SHAPES[kind])
    except msgspec.ValidationError as e:
        raise BadArguments(f"content: {e}") from e

"""The contents that messages show, sent and received ones alike; only described, never built."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from config.api.operations import Moment, OptionalText, Shape, identifier

Number = float | UnsetType
Whole = int | UnsetType
Target = Annotated[str, Meta(description="Ours; null if the message is not known here.")] | None


class LinkPreview(Shape):
    url: str
    title: OptionalText = UNSET
    description: OptionalText = UNSET


class TextContent(Shape):
    body: str
    link_preview: LinkPreview | UnsetType = UNSET
    background: OptionalText = UNSET


class FileContent(Shape):
    """`status` tells whether the file is here: `GET /api/media/{id}` gives it when `stored`."""

    id: Annotated[str, identifier("med")] | UnsetType | None = UNSET
    status: Literal["preparing", "pending", "stored", "failed", "expired"] | UnsetType = UNSET
    mime_type: OptionalText = UNSET
    size: Annotated[int, Meta(description="In bytes.")] | UnsetType = UNSET
    sha256: OptionalText = UNSET
    caption: OptionalText = UNSET
    filename: OptionalText = UNSET
    seconds: Number = UNSET
    width: Whole = UNSET
    height: Whole = UNSET
    pages: Whole = UNSET
    gif: bool | UnsetType = UNSET
    round: bool | UnsetType = UNSET
    voice: bool | UnsetType = UNSET
    animated: bool | UnsetType = UNSET


class LocationContent(Shape):
    latitude: float
    longitude: float
    name: OptionalText = UNSET
    address: OptionalText = UNSET
    url: OptionalText = UNSET


class LiveLocationContent(Shape):
    latitude: float
    longitude: float
    accuracy_m: Whole = UNSET
    speed_mps: Number = UNSET
    heading_degrees: Whole = UNSET
    caption: OptionalText = UNSET
    sequence: Whole = UNSET


class CardName(Shape):
    formatted_name: str
    first_name: OptionalText = UNSET
    last_name: OptionalText = UNSET
    middle_name: OptionalText = UNSET
    prefix: OptionalText = UNSET
    suffix: OptionalText = UNSET


class CardPhone(Shape):
    phone: str
    type: OptionalText = UNSET
    wa_id: OptionalText = UNSET


class CardEmail(Shape):
    email: str
    type: OptionalText = UNSET


class CardUrl(Shape):
    url: str
    type: OptionalText = UNSET


class CardAddress(Shape):
    street: OptionalText = UNSET
    city: OptionalText = UNSET
    state: OptionalText = UNSET
    zip: OptionalText = UNSET
    country: OptionalText = UNSET
    type: OptionalText = UNSET


class CardOrganization(Shape):
    company: OptionalText = UNSET
    department: OptionalText = UNSET
    title: OptionalText = UNSET


class CardContent(Shape):
    name: CardName
    phones: list[CardPhone] | UnsetType = UNSET
    emails: list[CardEmail] | UnsetType = UNSET
    urls: list[CardUrl] | UnsetType = UNSET
    addresses: list[CardAddress] | UnsetType = UNSET
    org: CardOrganization | UnsetType = UNSET
    birthday: OptionalText = UNSET
    vcard: Annotated[str, Meta(description="As received.")] | UnsetType = UNSET


class PollContent(Shape):
    question: str
    options: list[str]
    selectable: int


class EventPlaceContent(Shape):
    name: OptionalText = UNSET
    address: OptionalText = UNSET
    latitude: Number = UNSET
    longitude: Number = UNSET
    url: OptionalText = UNSET


class EventContent(Shape):
    name: str
    starts_at: Moment
    ends_at: Moment | UnsetType = UNSET
    description: OptionalText = UNSET
    location: EventPlaceContent | UnsetType = UNSET
    call: OptionalText = UNSET
    cancelled: bool | UnsetType = UNSET


class ReactionContent(Shape):
    message_id: Target
    emoji: Annotated[str | None, Meta(description="Empty when it was taken back; null: it could not be opened.")]
    wa_id: OptionalText = UNSET


class EditContent(Shape):
    message_id: Target
    wa_id: OptionalText = UNSET
    text: TextContent | UnsetType = UNSET
    caption: OptionalText = UNSET
    event: EventContent | UnsetType = UNSET


class RevokeContent(Shape):
    message_id: Target
    wa_id: OptionalText = UNSET


class PinContent(Shape):
    message_id: Target
    seconds: Annotated[int, Meta(description="0 unpins.")]
    wa_id: OptionalText = UNSET


class AlbumItem(Shape):
    message_id: str
    type: Literal["image", "video"]


class AlbumContent(Shape):
    """`items` of albums sent, each a message of its own; how many of each kind, of albums received."""

    items: list[AlbumItem] | UnsetType = UNSET
    images: Whole = UNSET
    videos: Whole = UNSET


class GroupInviteContent(Shape):
    group: str
    code: str
    name: str
    expires_at: Moment | UnsetType = UNSET
    caption: OptionalText = UNSET


class PollVoteContent(Shape):
    message_id: Target
    options: Annotated[list[str] | None, Meta(description="Null: the poll is not known here.")]
    wa_id: OptionalText = UNSET


class EventResponseContent(Shape):
    message_id: Target
    response: Annotated[str | None, Meta(description="`going`, `not_going`, `maybe`; null: not known here.")]
    wa_id: OptionalText = UNSET


class UnsupportedContent(Shape):
    kind: str


class UndecryptableContent(Shape):
    reason: str

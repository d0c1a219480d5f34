"""The contents of messages, by type."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from messaging.kinds.fields import (
    Base64,
    Body,
    Caption,
    Emoji,
    Filename,
    Latitude,
    Line,
    Link,
    Longitude,
    MediaId,
    MessageId,
    MimeType,
    Paragraph,
    Url,
)

ONE_SOURCE = Meta(extra_json_schema={"oneOf": [{"required": ["id"]}, {"required": ["link"]}, {"required": ["data"]}]})
MAX_ALBUM, MAX_CONTACTS, MAX_OPTIONS = 30, 257, 12
PIN_SECONDS = (86_400, 604_800, 2_592_000)


class Part(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all. A field that may be missing has UNSET as its default."""


class Text(Part, kw_only=True):
    body: Body
    link_preview: (
        Annotated[bool, Meta(description="Fetch the first link and show its title and picture.")] | UnsetType
    ) = UNSET
    background: Annotated[str, Meta(pattern="^#[0-9A-Fa-f]{6}$", description="Of a status.")] | UnsetType = UNSET


class File(Part, kw_only=True):
    """Exactly one of `id`, `link` and `data`."""

    id: MediaId | UnsetType = UNSET
    link: Link | UnsetType = UNSET
    data: Base64 | UnsetType = UNSET
    mime_type: MimeType | UnsetType = UNSET
    filename: Filename | UnsetType = UNSET


class Image(File, kw_only=True):
    caption: Caption | UnsetType = UNSET


class Video(File, kw_only=True):
    """At most one of `gif` and `round`."""

    caption: Caption | UnsetType = UNSET
    gif: Annotated[bool, Meta(description="Plays by itself, without sound.")] | UnsetType = UNSET
    round: Annotated[bool, Meta(description="A round video note.")] | UnsetType = UNSET


class Audio(File, kw_only=True):
    voice: Annotated[bool, Meta(description="A voice note; converted to Ogg with Opus.")] | UnsetType = UNSET


class Document(File, kw_only=True):
    caption: Caption | UnsetType = UNSET


class Sticker(File, kw_only=True):
    """Converted to WebP of 512 by 512 pixels."""


class Location(Part, kw_only=True):
    latitude: Latitude
    longitude: Longitude
    name: Line | UnsetType = UNSET
    address: Paragraph | UnsetType = UNSET
    url: Url | UnsetType = UNSET


class LiveLocation(Part, kw_only=True):
    """A place that moves: send another with a higher `sequence`."""

    latitude: Latitude
    longitude: Longitude
    accuracy_m: Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType = UNSET
    speed_mps: Annotated[float, Meta(ge=0, le=1_000)] | UnsetType = UNSET
    heading_degrees: Annotated[int, Meta(ge=0, le=359)] | UnsetType = UNSET
    caption: Caption | UnsetType = UNSET
    sequence: Annotated[int, Meta(ge=0, le=2**53)] | UnsetType = UNSET


class ContactName(Part, kw_only=True):
    formatted_name: Line
    first_name: Line | UnsetType = UNSET
    last_name: Line | UnsetType = UNSET
    middle_name: Line | UnsetType = UNSET
    prefix: Line | UnsetType = UNSET
    suffix: Line | UnsetType = UNSET


class ContactPhone(Part, kw_only=True):
    phone: Line
    type: Line | UnsetType = UNSET
    wa_id: Annotated[str, Meta(pattern="^[1-9][0-9]{6,14}$", description="Digits: their number on WhatsApp.")] | (
        UnsetType
    ) = UNSET


class ContactEmail(Part, kw_only=True):
    email: Line
    type: Line | UnsetType = UNSET


class ContactUrl(Part, kw_only=True):
    url: Url
    type: Line | UnsetType = UNSET


class ContactAddress(Part, kw_only=True):
    street: Line | UnsetType = UNSET
    city: Line | UnsetType = UNSET
    state: Line | UnsetType = UNSET
    zip: Line | UnsetType = UNSET
    country: Line | UnsetType = UNSET
    type: Line | UnsetType = UNSET


class ContactOrganization(Part, kw_only=True):
    company: Line | UnsetType = UNSET
    department: Line | UnsetType = UNSET
    title: Line | UnsetType = UNSET


class ContactCard(Part, kw_only=True):
    """A card of one person, as in Meta's Cloud API."""

    name: ContactName
    phones: Annotated[list[ContactPhone], Meta(max_length=20)] | UnsetType = UNSET
    emails: Annotated[list[ContactEmail], Meta(max_length=20)] | UnsetType = UNSET
    urls: Annotated[list[ContactUrl], Meta(max_length=20)] | UnsetType = UNSET
    addresses: Annotated[list[ContactAddress], Meta(max_length=20)] | UnsetType = UNSET
    org: ContactOrganization | UnsetType = UNSET
    birthday: Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | UnsetType = UNSET


Contacts = Annotated[list[ContactCard], Meta(min_length=1, max_length=MAX_CONTACTS)]
Option = Annotated[str, Meta(min_length=1, max_length=100, extra_json_schema={"pattern": r"^[^\u0000]*$"})]


class Poll(Part, kw_only=True):
    """`selectable` is how many options one may choose; 0 is any number."""

    question: Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema={"pattern": r"^[^\u0000]*$"})]
    options: Annotated[
        list[Option], Meta(min_length=2, max_length=MAX_OPTIONS, extra_json_schema={"uniqueItems": True})
    ]
    selectable: Annotated[int, Meta(ge=0, le=MAX_OPTIONS)] = 1


class Reaction(Part, kw_only=True):
    message_id: MessageId
    emoji: Emoji


class NewText(Part, kw_only=True):
    body: Body


class Edit(Part, kw_only=True):
    """The new `text` of a text, or the new `caption` of a file."""

    message_id: MessageId
    text: NewText | UnsetType = UNSET
    caption: Caption | UnsetType = UNSET


class Revoke(Part, kw_only=True):
    """Deletes a message for everyone: one's own, or in a group as its admin anybody's."""

    message_id: MessageId


class Forward(Part, kw_only=True):
    """Sends the content of a message again, marked as forwarded."""

    message_id: MessageId


class Pin(Part, kw_only=True):
    """For everyone in the chat; 0 seconds unpins."""

    message_id: MessageId
    seconds: Literal[0, 86_400, 604_800, 2_592_000]


class AlbumImage(Image, tag_field="type", tag="image", kw_only=True):
    """An image of an album."""


class AlbumVideo(File, tag_field="type", tag="video", kw_only=True):
    """A video of an album."""

    caption: Caption | UnsetType = UNSET


class Album(Part, kw_only=True):
    """Images and videos shown together; each is a message of its own."""

    items: Annotated[list[Annotated[AlbumImage | AlbumVideo, ONE_SOURCE]], Meta(min_length=2, max_length=MAX_ALBUM)]


class GroupInvite(Part, kw_only=True):
    """`code` is the end of the group's invitation link."""

    group: Annotated[str, Meta(pattern=r"^[0-9]{1,20}(-[0-9]{1,20})?@g\.us$")]
    code: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{8,40}$")]
    name: Annotated[str, Meta(min_length=1, max_length=100, extra_json_schema={"pattern": r"^[^\u0000]*$"})]
    expires_at: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET
    caption: Caption | UnsetType = UNSET


class EventPlace(Part, kw_only=True):
    name: Line
    address: Paragraph | UnsetType = UNSET
    latitude: Latitude | UnsetType = UNSET
    longitude: Longitude | UnsetType = UNSET


class CalendarEvent(Part, kw_only=True):
    """`call` is the link of a WhatsApp call."""

    name: Annotated[str, Meta(min_length=1, max_length=100, extra_json_schema={"pattern": r"^[^\u0000]*$"})]
    starts_at: Annotated[datetime, Meta(tz=True)]
    ends_at: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET
    description: Paragraph | UnsetType = UNSET
    location: EventPlace | UnsetType = UNSET
    call: (
        Annotated[str, Meta(pattern=r"^https://call\.whatsapp\.com/(voice|video)/[A-Za-z0-9_-]{1,60}$")] | UnsetType
    ) = UNSET

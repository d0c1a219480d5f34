"""The bodies of sends: one struct per type."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from messaging.accepting.delivery import Delivery
from messaging.kinds import contents
from messaging.kinds.contents import ONE_SOURCE
from messaging.kinds.fields import MAX_AUDIENCE, MAX_MENTIONS, ClientRef, MessageId, Person, To

EXPIRY_SECONDS = (86_400, 604_800, 7_776_000)


class Reply(msgspec.Struct, forbid_unknown_fields=True):
    """What the message answers; it is quoted."""

    message_id: MessageId


Expiry = Annotated[
    Literal[86_400, 604_800, 7_776_000],
    Meta(description="Seconds until the message disappears, in a chat with a timer."),
]
Mentions = Annotated[
    list[Person], Meta(max_length=MAX_MENTIONS, description="Who is named in the text, as `@` and their number or LID.")
]
Everyone = Annotated[bool, Meta(description="Names everyone in the group.")]
Audience = Annotated[
    list[Person], Meta(min_length=1, max_length=MAX_AUDIENCE, description="Who sees a status; all contacts without it.")
]
ViewOnce = Annotated[bool, Meta(description="Can be opened a single time.")]


class Envelope(Delivery, kw_only=True, tag_field="type"):
    """What every send has."""

    instance: str
    to: To
    client_ref: ClientRef | None = None


class Quotable(Envelope, kw_only=True):
    """What can answer another message and disappear."""

    context: Reply | UnsetType = UNSET
    expires_in: Expiry | UnsetType = UNSET


class Captioned(Quotable, kw_only=True):
    """What has a text in which people can be named."""

    mentions: Mentions | UnsetType = UNSET
    mention_all: Everyone | UnsetType = UNSET


class SendText(Captioned, tag="text", kw_only=True):
    text: contents.Text
    audience: Audience | UnsetType = UNSET


class SendImage(Captioned, tag="image", kw_only=True):
    image: Annotated[contents.Image, ONE_SOURCE]
    view_once: ViewOnce | UnsetType = UNSET
    audience: Audience | UnsetType = UNSET


class SendVideo(Captioned, tag="video", kw_only=True):
    video: Annotated[contents.Video, ONE_SOURCE]
    view_once: ViewOnce | UnsetType = UNSET
    audience: Audience | UnsetType = UNSET


class SendAudio(Quotable, tag="audio", kw_only=True):
    audio: Annotated[contents.Audio, ONE_SOURCE]
    view_once: ViewOnce | UnsetType = UNSET
    audience: Audience | UnsetType = UNSET


class SendDocument(Captioned, tag="document", kw_only=True):
    document: Annotated[contents.Document, ONE_SOURCE]


class SendSticker(Quotable, tag="sticker", kw_only=True):
    sticker: Annotated[contents.Sticker, ONE_SOURCE]


class SendLocation(Quotable, tag="location", kw_only=True):
    location: contents.Location


class SendLiveLocation(Quotable, tag="live_location", kw_only=True):
    live_location: contents.LiveLocation


class SendContacts(Quotable, tag="contacts", kw_only=True):
    contacts: contents.Contacts


class SendPoll(Quotable, tag="poll", kw_only=True):
    poll: contents.Poll


class SendEvent(Quotable, tag="event", kw_only=True):
    event: contents.CalendarEvent


class SendGroupInvite(Quotable, tag="group_invite", kw_only=True):
    group_invite: contents.GroupInvite


class SendAlbum(Quotable, tag="album", kw_only=True):
    album: contents.Album


class SendForward(Envelope, tag="forward", kw_only=True):
    forward: contents.Forward
    expires_in: Expiry | UnsetType = UNSET


class SendReaction(Envelope, tag="reaction", kw_only=True):
    reaction: contents.Reaction


class SendEdit(Envelope, tag="edit", kw_only=True):
    edit: Annotated[
        contents.Edit, Meta(extra_json_schema={"oneOf": [{"required": ["text"]}, {"required": ["caption"]}]})
    ]


class SendRevoke(Envelope, tag="revoke", kw_only=True):
    revoke: contents.Revoke


class SendPin(Envelope, tag="pin", kw_only=True):
    pin: contents.Pin


AnySend = (
    SendText
    | SendImage
    | SendVideo
    | SendAudio
    | SendDocument
    | SendSticker
    | SendLocation
    | SendLiveLocation
    | SendContacts
    | SendPoll
    | SendEvent
    | SendGroupInvite
    | SendAlbum
    | SendForward
    | SendReaction
    | SendEdit
    | SendRevoke
    | SendPin
)
SENDS: tuple[type[Envelope], ...] = AnySend.__args__
TYPES: dict[str, type[Envelope]] = {str(send.__struct_config__.tag): send for send in SENDS}
# Known, and not offered: WhatsApp shows them only when they come from its own business platforms.
NOT_OFFERED = frozenset({"buttons", "list", "interactive", "template", "product", "order"})

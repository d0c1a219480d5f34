from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from config.api.operations import (
    FieldProblem,
    Moment,
    Operation,
    Operations,
    OptionalText,
    Page,
    Phone,
    Shape,
    Tag,
    identifier,
)
from instances.api.schema import Instance, InstanceId
from messaging.api import views
from messaging.api.payload import MAX_BATCH
from messaging.api.serializers import MessageChange, MessageQuery, MessagesQuery
from messaging.kinds import shapes
from messaging.kinds.examples import EXAMPLES
from messaging.kinds.sends import SENDS
from messaging.states import Direction, Origin, Status


class Contact(Shape):
    """A person, a group or one of your numbers. `id` is the JID, of the phone if that is known."""

    id: Annotated[str, Meta(examples=["15550100002@s.whatsapp.net"])] | None
    phone: Phone | None
    lid: str | None
    name: str | None


class Picture(Shape):
    """Of a person."""

    id: Annotated[str, Meta(description="Changes with the picture.")]
    url: Annotated[str, Meta(description="At WhatsApp, for some days.", extra_json_schema={"format": "uri"})]


class MessageError(Shape):
    code: Annotated[str, Meta(description="See docs/failures.md.", examples=["not_on_whatsapp"])]
    detail: str | None
    retryable: Annotated[bool, Meta(description="The same message may be taken later, and cannot arrive twice.")]


class QuotedMessage(Shape):
    """The message that was answered; ours is null if it is not known here."""

    message_id: str | None
    wa_id: OptionalText = UNSET
    sender: Contact | UnsetType = msgspec.field(name="from", default=UNSET)


class ReactionCount(Shape):
    emoji: str
    count: int


class OptionCount(Shape):
    option: str
    votes: int


class ReceiptCounts(Shape):
    """How many of those it was sent to have got, read and played it."""

    delivered: int
    read: int
    played: int


class Message(Shape):
    """A message sent or received. Its content stands under the name of its type."""

    id: Annotated[str, identifier("msg")]
    instance: InstanceId
    direction: Direction
    status: Status
    chat: Contact
    sender: Contact = msgspec.field(name="from")
    to: Contact
    type: Literal[
        "text", "image", "video", "audio", "document", "sticker", "location", "live_location", "contacts", "poll",
        "event", "group_invite", "album", "reaction", "edit", "revoke", "pin", "poll_vote", "event_response",
        "unsupported", "undecryptable",
    ]  # fmt: skip
    client_ref: Annotated[str, Meta(description="Yours.")] | None
    wa_id: Annotated[str, Meta(description="WhatsApp's id of the message.")] | None
    origin: Annotated[Origin | None, Meta(description="`phone`: written on the number's own phone. Null: inbound.")]
    error: MessageError | None
    created_at: Moment
    send_at: Annotated[Moment | None, Meta(description="When it was to leave, if it was scheduled.")]
    sent_at: Moment | None
    delivered_at: Moment | None
    read_at: Moment | None
    played_at: Moment | None
    edited_at: Annotated[Moment | None, Meta(description="The content is the new one.")]
    revoked_at: Annotated[Moment | None, Meta(description="Deleted for everybody: the content is not shown any more.")]
    reactions: list[ReactionCount] | UnsetType = UNSET
    poll_results: list[OptionCount] | UnsetType = UNSET
    receipt_counts: ReceiptCounts | UnsetType = UNSET
    refused: Annotated[str, Meta(description="Why a change was not believed and changed nothing.")] | UnsetType = UNSET
    server_id: Annotated[int, Meta(description="Of a channel's post.")] | UnsetType = UNSET
    context: Annotated[QuotedMessage, Meta(description="What it answers.")] | UnsetType = UNSET
    mentions: list[Contact] | UnsetType = UNSET
    mention_all: bool | UnsetType = UNSET
    view_once: bool | UnsetType = UNSET
    forwarded: bool | UnsetType = UNSET
    expires_in: Annotated[int, Meta(description="Seconds until it disappears.")] | UnsetType = UNSET
    audience: list[Contact] | UnsetType = UNSET
    album: Annotated[str, Meta(description="The album it belongs to.")] | shapes.AlbumContent | UnsetType = UNSET
    link_preview: bool | UnsetType = UNSET
    typing: Annotated[bool | float, Meta(description="As the sender wanted it.")] | UnsetType = UNSET
    text: shapes.TextContent | UnsetType = UNSET
    image: shapes.FileContent | UnsetType = UNSET
    video: shapes.FileContent | UnsetType = UNSET
    audio: shapes.FileContent | UnsetType = UNSET
    document: shapes.FileContent | UnsetType = UNSET
    sticker: shapes.FileContent | UnsetType = UNSET
    location: shapes.LocationContent | UnsetType = UNSET
    live_location: shapes.LiveLocationContent | UnsetType = UNSET
    contacts: list[shapes.CardContent] | UnsetType = UNSET
    poll: shapes.PollContent | UnsetType = UNSET
    event: shapes.EventContent | UnsetType = UNSET
    group_invite: shapes.GroupInviteContent | UnsetType = UNSET
    reaction: shapes.ReactionContent | UnsetType = UNSET
    edit: shapes.EditContent | UnsetType = UNSET
    revoke: shapes.RevokeContent | UnsetType = UNSET
    pin: shapes.PinContent | UnsetType = UNSET
    poll_vote: shapes.PollVoteContent | UnsetType = UNSET
    event_response: shapes.EventResponseContent | UnsetType = UNSET
    unsupported: shapes.UnsupportedContent | UnsetType = UNSET
    undecryptable: shapes.UndecryptableContent | UnsetType = UNSET
    truncated: Annotated[bool, Meta(description="In events: long texts and lists are cut.")] | UnsetType = UNSET


class Reacted(Shape):
    """Null: the number's own owner."""

    sender: Contact | None = msgspec.field(name="from")
    at: Moment
    emoji: str


class Voted(Shape):
    """Null: the number's own owner."""

    sender: Contact | None = msgspec.field(name="from")
    at: Moment
    options: list[str]


class MemberReceipt(Shape):
    member: Contact
    delivered_at: Moment | None
    read_at: Moment | None
    played_at: Moment | None


class Revision(Shape):
    """What the message said until it was edited."""

    until: Moment
    text: shapes.TextContent | UnsetType = UNSET
    image: shapes.FileContent | UnsetType = UNSET
    video: shapes.FileContent | UnsetType = UNSET
    audio: shapes.FileContent | UnsetType = UNSET
    document: shapes.FileContent | UnsetType = UNSET
    event: shapes.EventContent | UnsetType = UNSET


class MessageDetail(Message, kw_only=True):
    """A message with all that became of it."""

    reacted: list[Reacted]
    votes: list[Voted]
    receipts: Annotated[list[MemberReceipt], Meta(description="Of a message to many: how far with each of them.")]
    revisions: list[Revision]
    raw: Annotated[dict[str, Any] | None, Meta(description="waE2E.Message, without keys.")] | UnsetType = UNSET


class Send(msgspec.Struct):
    """A message of any type; `type` may be left out for a text."""

    alternatives: ClassVar = SENDS


class BatchInput(Shape):
    """Each message is judged by itself: what is wrong with one is told in its place of the answer."""

    messages: Annotated[
        list[Any],
        Meta(
            min_length=1,
            max_length=MAX_BATCH,
            extra_json_schema={"items": {"anyOf": [{"$ref": "#/components/schemas/Send"}, {}]}},
        ),
    ]


class Refusal(msgspec.Struct):
    """Problem details of one message."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem] | UnsetType = UNSET


class BatchResult(Shape):
    """Either a message with 202, or an error with its status."""

    status: int
    message: Message | None
    error: Refusal | None


class BatchResults(Shape):
    """In the order of the messages."""

    results: list[BatchResult]


class MessagePage(Page[Message]):
    pass


_OTHER_NETWORK = ("test_key_on_live", "live_key_on_sandbox")
TAG = Tag("Messages", "Sent and received.")
OPERATIONS: Operations = {
    views.MessagesView.get: Operation(
        "List messages",
        "Sent and received ones.",
        query=MessagesQuery,
        answers={200: MessagePage},
        paged=True,
        problems=["not_found", *_OTHER_NETWORK],
    ),
    views.MessagesView.post: Operation(
        "Send a message",
        "202 means that it is committed and will not be lost. Events tell when it is sent, delivered and read.",
        body=Send,
        answers={202: Message},
        problems=[
            "not_found",
            "instance_not_linked",
            "instance_stopped",
            "instance_unavailable",
            "quota_exceeded",
            "subscription_expired",
            "unsupported_by_engine",
            "message_not_found",
            "not_sent_yet",
            "not_yours",
            "too_old",
            "not_applicable",
            "client_ref_taken",
            *_OTHER_NETWORK,
        ],
        examples=EXAMPLES,
    ),
    views.BatchView.post: Operation(
        "Send many messages",
        "Up to 1,000. A refused one does not keep the others back: look at the `status` of each.",
        body=BatchInput,
        answers={202: BatchResults},
        example={"messages": [EXAMPLES["text"], EXAMPLES["text"] | {"to": "15550100003"}]},
    ),
    views.ResumeColdHoldView.post: Operation(
        "Try a held message now",
        "Ends the waiting of a `cold_hold`: if one message to a new contact arrives, all others follow. Idempotent.",
        answers={202: Instance},
        problems=_OTHER_NETWORK,
    ),
    views.MessageView.get: Operation(
        "One message",
        "With all that became of it: reactions, votes, receipts of each member, what it said before edits.",
        query=MessageQuery,
        answers={200: MessageDetail},
    ),
    views.MessageView.patch: Operation(
        "Reschedule a message",
        "Only one that is still `scheduled`.",
        body=MessageChange,
        answers={200: Message},
        problems=["message_not_scheduled"],
        example={"send_at": "2026-12-24T18:00:00+01:00"},
    ),
    views.MessageView.delete: Operation(
        "Cancel a message",
        "One that has not left: `scheduled`, `preparing`, `held` or `queued`. It does not count against the quota. "
        "An album goes with its items. Cancelling again changes nothing.",
        answers={200: Message},
        problems=["message_already_sent"],
    ),
}

from __future__ import annotations

from typing import Annotated, Any, Literal

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
from instances.api.schema import InstanceId
from messaging.api import views
from messaging.api.payload import MAX_BATCH, Send
from messaging.api.serializers import MessagesQuery
from messaging.states import Direction, Origin, Status


class Contact(Shape):
    """A person, a group or one of your numbers. `id` is the JID, of the phone if that is known."""

    id: Annotated[str, Meta(examples=["15550100002@s.whatsapp.net"])] | None
    phone: Phone | None
    lid: str | None
    name: str | None


class MessageError(Shape):
    code: Annotated[str, Meta(description="See docs/failures.md.", examples=["not_on_whatsapp"])]
    detail: str | None
    retryable: Annotated[bool, Meta(description="The same message may be taken later, and cannot arrive twice.")]


class TextContent(Shape):
    body: str


class MediaContent(Shape):
    caption: OptionalText = UNSET
    mime_type: OptionalText = UNSET
    sha256: OptionalText = UNSET
    size: Annotated[int, Meta(description="In bytes.")] | UnsetType = UNSET


class LocationContent(Shape):
    latitude: float
    longitude: float
    name: str


class ReactionContent(Shape):
    message_id: Annotated[str, Meta(description="WhatsApp's id of the message.")]
    emoji: Annotated[str, Meta(description="Empty when a reaction was taken back.")]


class UnsupportedContent(Shape):
    kind: str


class Message(Shape):
    """A message sent or received. Its content stands under the name of its type."""

    id: Annotated[str, identifier("msg")]
    instance: InstanceId
    direction: Direction
    status: Status
    chat: Contact
    sender: Contact = msgspec.field(name="from")
    to: Contact
    type: Literal["text", "image", "video", "audio", "document", "sticker", "location", "reaction", "unsupported"]
    client_ref: Annotated[str, Meta(description="Yours.")] | None
    wa_id: Annotated[str, Meta(description="WhatsApp's id of the message.")] | None
    origin: Annotated[Origin | None, Meta(description="`phone`: written on the number's own phone. Null: inbound.")]
    error: MessageError | None
    created_at: Moment
    sent_at: Moment | None
    delivered_at: Moment | None
    read_at: Moment | None
    text: TextContent | UnsetType = UNSET
    image: MediaContent | UnsetType = UNSET
    video: MediaContent | UnsetType = UNSET
    audio: MediaContent | UnsetType = UNSET
    document: MediaContent | UnsetType = UNSET
    sticker: MediaContent | UnsetType = UNSET
    location: LocationContent | UnsetType = UNSET
    reaction: ReactionContent | UnsetType = UNSET
    unsupported: UnsupportedContent | UnsetType = UNSET


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


_EXAMPLE = {
    "instance": "ins_01h455vb4pex5vsknk084sn02q",
    "to": "15550100002",
    "type": "text",
    "text": {"body": "Hello"},
}
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
            *_OTHER_NETWORK,
        ],
        example=_EXAMPLE,
    ),
    views.BatchView.post: Operation(
        "Send many messages",
        "Up to 1,000. A refused one does not keep the others back: look at the `status` of each.",
        body=BatchInput,
        answers={202: BatchResults},
        example={"messages": [_EXAMPLE, _EXAMPLE | {"to": "15550100003"}]},
    ),
    views.MessageView.get: Operation("One message", answers={200: Message}),
}

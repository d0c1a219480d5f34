from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from config.api.operations import Moment, Operation, Operations, OptionalText, Page, Phone, Shape, Tag, identifier
from instances.api.schema import InstanceId
from phones.api import views
from phones.api.serializers import CallInput, CodeInput, PhoneInput, ReceivedQuery, ScanInput, SendInput


class VirtualPhone(Shape):
    """A made-up number of your organization in the sandbox network."""

    id: Annotated[str, identifier("phn")]
    phone: Phone
    name: str
    created_at: Moment


class VirtualPhonePage(Page[VirtualPhone]):
    pass


class Scanned(Shape):
    phone: Phone
    instance: InstanceId


class CodeEntered(Shape):
    phone: Phone


class PhoneSent(Shape):
    id: Annotated[str, Meta(description="WhatsApp's id of the message.")]
    items: Annotated[list[str], Meta(description="Those of an album's items.")] | UnsetType = UNSET


class PhoneRead(Shape):
    id: str
    status: Literal["read"]


Content = dict[str, Any] | UnsetType


class PhoneMessage(Shape):
    """A message as the phone shows it; its content stands under the type's name, as docs/sandbox.md tells."""

    id: str
    seq: int
    sender_phone: Phone | None = msgspec.field(name="from")
    chat: str
    sender: str
    sender_name: str
    from_me: bool
    read: bool
    timestamp: Annotated[int, Meta(description="Seconds since 1970.")]
    type: str
    text: str
    mimetype: OptionalText = UNSET
    size: Annotated[int, Meta(description="In bytes.")] | UnsetType = UNSET
    filename: OptionalText = UNSET
    reply_to: OptionalText = UNSET
    target: OptionalText = UNSET
    context: Content = UNSET
    mentions: list[str] | UnsetType = UNSET
    mention_all: bool | UnsetType = UNSET
    view_once: bool | UnsetType = UNSET
    forwarded: bool | UnsetType = UNSET
    expires_in: Annotated[int, Meta(description="In seconds.")] | UnsetType = UNSET
    album: dict[str, Any] | str | UnsetType = UNSET
    link_preview: Content = UNSET
    attachment: Annotated[Content, Meta(description="What the phone found when it downloaded and decrypted it.")] = (
        UNSET
    )
    edited: bool | UnsetType = UNSET
    revoked: bool | UnsetType = UNSET
    pinned: Annotated[int, Meta(description="For so many seconds.")] | UnsetType = UNSET
    reactions: Annotated[dict[str, str], Meta(description="Emojis by phone number.")] | UnsetType = UNSET
    votes: Annotated[dict[str, list[str]], Meta(description="Options by phone number.")] | UnsetType = UNSET
    responses: Annotated[dict[str, str], Meta(description="Responses by phone number.")] | UnsetType = UNSET
    server_id: Annotated[int, Meta(description="Of a newsletter's post.")] | UnsetType = UNSET
    image: Content = UNSET
    video: Content = UNSET
    audio: Content = UNSET
    document: Content = UNSET
    sticker: Content = UNSET
    location: Content = UNSET
    live_location: Content = UNSET
    contacts: list[dict[str, Any]] | UnsetType = UNSET
    poll: Content = UNSET
    poll_vote: Content = UNSET
    reaction: Content = UNSET
    edit: Content = UNSET
    revoke: Content = UNSET
    pin: Content = UNSET
    group_invite: Content = UNSET
    event: Content = UNSET
    event_response: Content = UNSET
    disappearing: Content = UNSET


class PhoneMessages(Shape):
    """Oldest first. `next` is the `after` of the next page, or null at the end."""

    results: list[PhoneMessage]
    next: int | None


class PhoneCallMade(Shape):
    id: Annotated[str, Meta(description="WhatsApp's id of the call.")]


class PhoneCall(Shape):
    """A call as the phone shows it."""

    id: str
    other: Annotated[str, Meta(description="JID of who is called, or calls.")] = msgspec.field(name="with")
    outgoing: bool
    video: bool
    status: Literal["ringing", "rejected", "ended"]


class PhoneCalls(Shape):
    """Oldest first."""

    results: list[PhoneCall]


_SANDBOX = ("live_key_on_sandbox", "sandbox_unavailable")
TAG = Tag("Virtual phones", "Made-up numbers in the sandbox network.")
_SCAN = ("test_key_on_live", "no_qr", "qr_expired", "link_unfinished", "number_in_use", "number_taken")
OPERATIONS: Operations = {
    views.PhonesView.get: Operation(
        "List virtual phones", answers={200: VirtualPhonePage}, paged=True, problems=["live_key_on_sandbox"]
    ),
    views.PhonesView.post: Operation(
        "Create a virtual phone",
        "Or rename your own.",
        body=PhoneInput,
        answers={201: VirtualPhone},
        problems=["phone_taken", *_SANDBOX],
        example={"phone": "15550100001", "name": "Carla"},
    ),
    views.ScanView.post: Operation(
        "Scan the QR code an instance shows",
        "Answers when the instance is linked.",
        body=ScanInput,
        answers={202: Scanned},
        problems=[*_SCAN, *_SANDBOX],
        example={"instance": "ins_01h455vb4pex5vsknk084sn02q"},
    ),
    views.EnterCodeView.post: Operation(
        "Type a pairing code",
        body=CodeInput,
        answers={202: CodeEntered},
        problems=["no_pairing", "wrong_code", *_SANDBOX],
        example={"code": "ABCD-1234"},
    ),
    views.PhoneMessagesView.get: Operation(
        "What the phone has got", query=ReceivedQuery, answers={200: PhoneMessages}, problems=_SANDBOX
    ),
    views.PhoneMessagesView.post: Operation(
        "Write from the phone",
        "Every type that WhatsApp has, one at a time; replies, mentions and so on go with it.",
        body=SendInput,
        answers={201: PhoneSent},
        problems=["not_on_whatsapp", "phone_refused", *_SANDBOX],
        example={"to": "15550100002", "text": "Hello"},
    ),
    views.ReadView.post: Operation("Mark a message read", answers={200: PhoneRead}, problems=_SANDBOX),
    views.PhoneCallsView.get: Operation(
        "Calls of the phone", "Since the sandbox network started.", answers={200: PhoneCalls}, problems=_SANDBOX
    ),
    views.PhoneCallsView.post: Operation(
        "Call from the phone",
        "It rings until it is rejected or hung up; nobody can answer.",
        body=CallInput,
        answers={201: PhoneCallMade},
        problems=["not_on_whatsapp", *_SANDBOX],
        example={"to": "15550100002"},
    ),
    views.PhoneCallView.delete: Operation("Hang up", "Idempotent.", answers={204: None}, problems=_SANDBOX),
}

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from config.api.lines import LINES
from config.api.operations import Moment, Operation, Operations, Page, Phone, Shape, Tag, identifier
from instances.api.schema import InstanceId
from messaging.api.schema import Contact, Picture
from messaging.contacts.api import views
from messaging.contacts.api.serializers import CheckInput, ContactQuery, ContactsQuery, LinkInput, PictureQuery
from messaging.models import Erasure as ErasureRow


class Erasure(Shape):
    """The deletion of all that is kept of a person. It does not name them."""

    id: Annotated[str, identifier("ers")]
    instance: InstanceId
    status: ErasureRow.Status
    messages: Annotated[int, Meta(description="Deleted so far.", ge=0)]
    events: Annotated[int, Meta(description="Of the log, whose data was taken out so far.", ge=0)]
    created_at: Moment
    finished_at: Moment | None


class Listed(Contact):
    """Somebody whom an instance knows."""

    business_name: Annotated[str, Meta(description="Of a business that WhatsApp has verified.")] | None
    on_whatsapp: Annotated[bool | None, Meta(description="Null: never asked.")]
    checked_at: Annotated[Moment | None, Meta(description="When WhatsApp was asked.")]


class ContactPage(Page[Listed]):
    pass


class ContactInfo(Listed):
    """The same with what they show to the number now."""

    about: Annotated[str, Meta(description="Null: not set, or hidden.")] | None
    picture_id: Annotated[str, Meta(description="Changes with the picture.")] | None
    devices: Annotated[int, Meta(description="The phone included.", ge=1)]


class NumberError(Shape):
    code: Literal["invalid", "invalid_phone_number", "no_answer"]
    detail: str


class CheckedNumber(Shape):
    """What WhatsApp says of a number; `error` if it is none, or nothing was said."""

    input: str
    phone: Phone | None
    exists: bool | None
    jid: Annotated[str, Meta(examples=["15550100002@s.whatsapp.net"])] | None
    lid: str | None
    business_name: str | None
    error: NumberError | None


class CheckedNumbers(Shape):
    results: Annotated[list[CheckedNumber], Meta(description="In the order of the request.")]


class ContactPresence(Shape):
    """The last that WhatsApp told; null as long as it tells nothing."""

    contact: Contact
    presence: Literal["available", "unavailable"] | None
    last_seen_at: Moment | None
    at: Annotated[Moment | None, Meta(description="When WhatsApp told.")]


_PROBLEMS = ("not_a_person", "test_key_on_live", "live_key_on_sandbox")
_OTHER_NETWORK = ("test_key_on_live", "live_key_on_sandbox")
_LIVE = ("engine_failed", "instance_offline", "no_answer")
TAG = Tag("Contacts", "People: who is known, what WhatsApp tells of them, and what is kept, handed out and erased.")
OPERATIONS: Operations = {
    views.ContactsView.get: Operation(
        "List contacts",
        "Whom an instance has written to, heard of, or checked; the newest first.",
        query=ContactsQuery,
        answers={200: ContactPage},
        paged=True,
        problems=_OTHER_NETWORK,
    ),
    views.CheckView.post: Operation(
        "Check phone numbers",
        "Whether they are on WhatsApp. A yes is remembered for 30 days, a no for one; the rest is asked for at once.",
        body=CheckInput,
        answers={200: CheckedNumbers},
        problems=[*_OTHER_NETWORK, *_LIVE],
        example={"instance": "ins_01h455vb4pex5vsknk084sn02q", "phones": ["+1 555 010 0002", "15550100003"]},
    ),
    views.ResolveLinkView.post: Operation(
        "Resolve a contact link",
        "Whom the link in somebody's QR code leads to.",
        body=LinkInput,
        answers={200: Contact},
        problems=[*_OTHER_NETWORK, *_LIVE],
        example={"instance": "ins_01h455vb4pex5vsknk084sn02q", "link": "https://wa.me/qr/ABCDEFGHIJKLM1"},
    ),
    views.ContactView.get: Operation(
        "One contact",
        "What is known of a phone number or an LID, and what they show to the number now: WhatsApp is asked.",
        query=ContactQuery,
        answers={200: ContactInfo},
        problems=["not_a_person", "not_on_whatsapp", *_OTHER_NETWORK, *_LIVE],
    ),
    views.ContactPictureView.get: Operation(
        "A contact's picture",
        "Where WhatsApp serves it; asked for once in five minutes. 404 if there is none, or it is hidden.",
        query=PictureQuery,
        answers={200: Picture},
        problems=["not_a_person", *_OTHER_NETWORK, *_LIVE],
    ),
    views.ContactPresenceView.get: Operation(
        "A contact's presence",
        "Has WhatsApp tell from now on when they come and go, as events `contact.presence`, until the connection ends;"
        " the answer is the last that is known. WhatsApp tells it only to numbers that are shown as online.",
        query=ContactQuery,
        answers={200: ContactPresence},
        problems=["not_a_person", *_OTHER_NETWORK, *_LIVE],
    ),
    views.ContactExportView.get: Operation(
        "Export a person's data",
        "All that an instance keeps of a phone number or an LID: a JSON object `{kind, data}` on each line.",
        query=ContactQuery,
        answers={200: None},
        media={LINES: {"type": "string", "description": "An object with `kind` and `data` on each line."}},
        problems=_PROBLEMS,
    ),
    views.ContactView.delete: Operation(
        "Erase a person's data",
        "Deletes it in the background; ask for the erasure to see how far that is. It cannot be undone.",
        query=ContactQuery,
        answers={202: Erasure},
        problems=_PROBLEMS,
    ),
    views.ErasureView.get: Operation("One erasure", answers={200: Erasure}),
}

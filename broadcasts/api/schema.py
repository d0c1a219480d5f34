from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import Direction
from msgspec import UNSET, Meta, UnsetType

from broadcasts.api import opt_out_views, serializers, template_views, views
from broadcasts.importing import MAX_ERRORS, MAX_RECIPIENTS
from broadcasts.models import OptOut as OptOutRow
from broadcasts.states import Progress as Stage
from broadcasts.states import State
from broadcasts.templating import NOT_FOR_MANY, NOT_HERE
from config.api.operations import FieldProblem, Moment, Operation, Operations, Page, Shape, Tag, identifier
from instances.api.schema import InstanceId
from instances.models import Network
from instances.settings import QuietHours
from messaging.api.schema import Contact
from messaging.kinds.sends import TYPES, Envelope


def _for_many(send: type[Envelope]) -> Any:
    """A send without what belongs to one message."""
    fields = [one for one in msgspec.structs.fields(send) if one.encode_name not in NOT_HERE]
    config = send.__struct_config__
    return msgspec.defstruct(
        send.__name__.replace("Send", "Template", 1),
        [(one.name, one.type) if one.required else (one.name, one.type, one.default) for one in fields],
        tag_field=config.tag_field,
        tag=config.tag,
        forbid_unknown_fields=True,
        kw_only=True,
    )


class TemplateMessage(msgspec.Struct):
    """A message of a type that fits many people; `type` may be left out for a text. Texts have `{{variables}}`."""

    alternatives: ClassVar = tuple(_for_many(send) for tag, send in TYPES.items() if tag not in NOT_FOR_MANY)


class OwnWords(OpenApiSerializerFieldExtension):
    """Fields that say more of themselves than the REST framework knows."""

    target_class = serializers.Described
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Direction) -> dict[str, Any]:
        if isinstance(self.target, serializers.MessageField):
            reference: dict[str, Any] = auto_schema.resolve_serializer(TemplateMessage, direction).ref
            return reference
        return dict(self.target.json_schema)


TemplateId = Annotated[str, identifier("tpl")]
Payload = Annotated[
    dict[str, Any],
    Meta(
        description="As in `POST /api/messages`, without `instance`, `to` and `client_ref`; texts have `{{variables}}`."
    ),
]


class Variable(Shape):
    name: str
    default: Annotated[str, Meta(description="Null: every recipient needs a value.")] | None


class Template(Shape):
    """A message with variables."""

    id: TemplateId
    name: str
    message: Payload
    variables: list[Variable]
    created_at: Moment
    updated_at: Moment


class TemplatePage(Page[Template]):
    pass


class Preview(Shape):
    message: Payload


class BroadcastPacing(Shape):
    per_minute: int


class TakenIn(Shape):
    """Of the recipients that were given."""

    accepted: int
    duplicate: int
    invalid: int
    opted_out: int


class BroadcastProgress(Shape):
    """How many recipients are how far."""

    pending: Annotated[int, Meta(description="Have no message yet.")]
    queued: Annotated[int, Meta(description="Their message waits to be sent.")]
    sent: int
    delivered: int
    read: int
    failed: int
    unconfirmed: int
    cancelled: int
    skipped: Annotated[int, Meta(description="Opted out.")]


class Broadcast(Shape):
    """One message to many recipients."""

    id: Annotated[str, identifier("bct")]
    name: str | None
    network: Network
    instances: list[InstanceId]
    template_id: TemplateId | None
    message: Payload
    state: State
    reason: Annotated[str, Meta(description="Why it is paused: `user`, or the code that passes by itself.")] | None
    start_at: Moment | None
    pacing: BroadcastPacing | None
    quiet_hours: QuietHours | None
    recipients: TakenIn
    progress: BroadcastProgress
    created_at: Moment
    started_at: Moment | None
    ended_at: Moment | None
    truncated: Annotated[bool, Meta(description="In events: long texts and lists are cut.")] | UnsetType = UNSET


_Errors = Annotated[
    list[FieldProblem],
    Meta(description=f"The first {MAX_ERRORS} that are not valid; pointers lead to a recipient, or a line of CSV."),
]


class NewBroadcast(Broadcast, kw_only=True):
    errors: _Errors


class BroadcastPage(Page[Broadcast]):
    pass


class TakenInNow(TakenIn):
    errors: _Errors


class RecipientError(Shape):
    code: Annotated[str, Meta(examples=["not_on_whatsapp"])]
    detail: str | None


class BroadcastRecipient(Shape):
    id: Annotated[str, identifier("rcp")]
    to: Annotated[str, Meta(description="JID.")]
    client_ref: Annotated[str, Meta(description="Yours; without one the message has the recipient's id.")] | None
    variables: dict[str, str]
    state: Stage
    instance: InstanceId | None
    message_id: Annotated[str, identifier("msg")] | None
    error: RecipientError | None
    sent_at: Moment | None
    delivered_at: Moment | None
    read_at: Moment | None


class BroadcastRecipientPage(Page[BroadcastRecipient]):
    pass


OptOutSource = OptOutRow.Source


class OptOut(Shape):
    """Somebody who gets no broadcasts."""

    id: Annotated[str, identifier("opt")]
    network: Network
    contact: Contact
    source: OptOutSource
    instance: Annotated[InstanceId | None, Meta(description="Which one heard the word.")]
    created_at: Moment


class OptOutPage(Page[OptOut]):
    pass


class Words(Shape):
    """Whole messages; case, accents, spaces and punctuation do not count."""

    stop: list[str]
    start: list[str]


_HELLO = {"type": "text", "text": {"body": "Hello {{name|there}}, your order {{order}} is ready."}}
_RECIPIENT = {"to": "15550100002", "variables": {"name": "Carla", "order": "17"}}
_OTHER_NETWORK = ("test_key_on_live", "live_key_on_sandbox")
_ENDED = ("broadcast_not_running",)
_TABLE = {
    "type": "string",
    "description": "Columns `to`, the variables, and perhaps `client_ref`, named in the first line.",
}
TAG = Tag("Broadcasts", "Templates, messages to many recipients, and who wants none.")
OPERATIONS: Operations = {
    template_views.TemplatesView.get: Operation("List templates", answers={200: TemplatePage}, paged=True),
    template_views.TemplatesView.post: Operation(
        "Create a template",
        "A message whose texts have `{{name}}`, or `{{name|default}}`.",
        body=serializers.TemplateInput,
        answers={201: Template},
        problems=["template_name_taken"],
        example={"name": "Ready", "message": _HELLO},
    ),
    template_views.TemplateView.get: Operation("One template", answers={200: Template}),
    template_views.TemplateView.patch: Operation(
        "Change a template",
        "Broadcasts that were made with it keep what it was.",
        body=serializers.TemplateChange,
        body_required=False,
        answers={200: Template},
        problems=["template_name_taken"],
        example={"name": "Order ready"},
    ),
    template_views.TemplateView.delete: Operation("Delete a template", answers={204: None}),
    template_views.PreviewView.post: Operation(
        "What a template becomes",
        "With these values; what is missing, or too long then, is refused as it would be for a recipient.",
        body=serializers.PreviewInput,
        answers={200: Preview},
        example={"variables": {"name": "Carla", "order": "17"}},
    ),
    views.BroadcastsView.get: Operation(
        "List broadcasts", answers={200: BroadcastPage}, query=serializers.BroadcastsQuery, paged=True
    ),
    views.BroadcastsView.post: Operation(
        "Send to many",
        f"Up to {serializers.MAX_JSON_RECIPIENTS} recipients here; with `draft` first and more of them "
        f"afterwards, up to {MAX_RECIPIENTS}. Each is judged by itself. Quota is taken as it sends.",
        body=serializers.BroadcastInput,
        answers={202: NewBroadcast},
        problems=["no_recipients", *_OTHER_NETWORK],
        example={"instance": "ins_01h455vb4pex5vsknk084sn02q", "message": _HELLO, "recipients": [_RECIPIENT]},
    ),
    views.BroadcastView.get: Operation("One broadcast", "With its progress.", answers={200: Broadcast}),
    views.RecipientsView.get: Operation(
        "List the recipients", answers={200: BroadcastRecipientPage}, query=serializers.RecipientsQuery, paged=True
    ),
    views.RecipientsView.post: Operation(
        "Add recipients to a draft",
        "As JSON, or as CSV in UTF-8 with commas or semicolons. Who is there already is a duplicate.",
        body=serializers.RecipientsInput,
        body_media={"text/csv": _TABLE},
        answers={202: TakenInNow},
        problems=["broadcast_started"],
        example={"recipients": [_RECIPIENT]},
    ),
    views.StartView.post: Operation(
        "Start a draft", answers={202: Broadcast}, problems=["broadcast_started", "no_recipients"]
    ),
    views.PauseView.post: Operation(
        "Pause",
        "Idempotent. What is in the lanes already, some forty messages, goes out.",
        {200: Broadcast},
        problems=_ENDED,
    ),
    views.ResumeView.post: Operation("Go on", "Idempotent.", {200: Broadcast}, problems=_ENDED),
    views.CancelView.post: Operation(
        "Cancel", "Idempotent. What is in the lanes and not sent is cancelled too.", {200: Broadcast}, problems=_ENDED
    ),
    views.ReportView.get: Operation(
        "What became of every recipient", answers={200: None}, media={"text/csv": {"type": "string"}}
    ),
    opt_out_views.OptOutsView.get: Operation(
        "List who is opted out", answers={200: OptOutPage}, query=serializers.OptOutsQuery, paged=True
    ),
    opt_out_views.OptOutsView.post: Operation(
        "Opt somebody out",
        "Idempotent. Broadcasts pass them by; single messages do not.",
        body=serializers.OptOutInput,
        answers={201: OptOut},
        problems=_OTHER_NETWORK,
        example={"to": "15550100002", "network": "sandbox"},
    ),
    opt_out_views.OptOutView.delete: Operation("Opt somebody in again", answers={204: None}),
    opt_out_views.KeywordsView.get: Operation("The words that opt out and in", answers={200: Words}),
    opt_out_views.KeywordsView.patch: Operation(
        "Change the words",
        body=serializers.KeywordsInput,
        body_required=False,
        answers={200: Words},
        example={"stop": ["STOP", "BAJA"], "start": ["START"]},
    ),
}

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from config.api.operations import Moment, Operation, Operations, Page, Phone, Shape, Tag, identifier
from config.api.serializers import NOT_BLANK
from instances.api import link_page_views, views
from instances.api.serializers import InstancesQuery, LinkPageInput, PairingCodeInput
from instances.labels import Labels, Metadata, MetadataChange
from instances.models import Network
from instances.pages.state import Status
from instances.settings import AllSettings, SettingsChange
from instances.states import State, Wanted

InstanceId = Annotated[str, identifier("ins")]


class ColdHold(Shape):
    """Messages to people who never wrote to the number are held, and go out by themselves."""

    since: Moment
    until: Annotated[Moment, Meta(description="When one of them is tried again.")]
    waiting: Annotated[int, Meta(description="How many are held.")]


class Degraded(Shape):
    """A connection that looked well and was not."""

    reason: Annotated[
        str,
        Meta(
            description="`no_answer`; `login_stuck`: it was accepted and never logged in; `send_stuck`: a message got "
            "no answer."
        ),
    ]
    silent_seconds: Annotated[int, Meta(description="For how long WhatsApp had said nothing.")]


class Quarantined(Shape):
    """Nobody connects the instance before this time."""

    until: Moment
    times: Annotated[int, Meta(description="How often it was, lately.")]


class InstanceInEvents(Shape):
    """A WhatsApp number of one organization, as events tell of it."""

    id: InstanceId
    name: str
    network: Network
    wanted: Annotated[Wanted, Meta(description="What you asked for.")]
    state: Annotated[State, Meta(description="What is.")]
    reason: Annotated[str, Meta(description="Why, as a code: see docs/states.md.", examples=["online"])]
    reason_text: str
    advice: str
    detail: str
    since: Annotated[Moment, Meta(description="When it came into this state.")]
    jid: Annotated[str, Meta(examples=["15550100001@s.whatsapp.net"])] | None
    phone: Phone | None
    lid: str | None
    banned_until: Moment | None
    connected_at: Annotated[Moment, Meta(description="The last time the number came online.")] | None
    created_at: Moment
    labels: Labels
    metadata: Metadata
    settings: AllSettings


class Instance(InstanceInEvents):
    """A WhatsApp number of one organization."""

    cold_hold: Annotated[ColdHold | None, Meta(description="Not null: WhatsApp refuses messages to new contacts.")]


_Name = Annotated[str, Meta(max_length=100, min_length=1, extra_json_schema={"pattern": NOT_BLANK})]
InstanceChange: Any = msgspec.defstruct(
    "InstanceChange",
    [
        ("name", _Name | UnsetType, UNSET),
        ("labels", Labels | UnsetType, UNSET),
        ("metadata", MetadataChange | UnsetType, UNSET),
        ("settings", SettingsChange | UnsetType, UNSET),
    ],
    bases=(Shape,),
    namespace={
        "__doc__": "What is not named stays. `settings` and `metadata` are merge patches (RFC 7396): null brings a"
        " default back, or takes a key away."
    },
)
NewInstance: Any = msgspec.defstruct(
    "NewInstance",
    [
        ("name", _Name),
        ("network", Network),
        ("labels", Labels | UnsetType, UNSET),
        ("metadata", MetadataChange | UnsetType, UNSET),
        ("settings", SettingsChange | UnsetType, UNSET),
    ],
    bases=(Shape,),
)


class ConnectionChange(Shape):
    """A state that the connection came into."""

    id: Annotated[str, identifier("chg")]
    at: Moment
    state: State
    reason: Annotated[str, Meta(description="Why, as a code: see docs/states.md.", examples=["connection_lost"])]
    reason_text: str
    advice: str
    detail: str


class ConnectionChangePage(Page[ConnectionChange]):
    pass


class InstancePage(Page[Instance]):
    pass


class QrCode(Shape):
    code: Annotated[str, Meta(description="The text to draw.")]
    expires_at: Moment


class OpenedLinkPage(Shape):
    """Whoever has the address can link the instance, once."""

    url: Annotated[str, Meta(examples=["https://api.example.com/link#lnk_sE4u7Gh…"])]
    expires_at: Moment


class QrPicture(Shape):
    image: Annotated[str, Meta(description="The address of an SVG picture, with the picture in it.")]
    expires_at: Moment


class LinkPage(Shape):
    """What a link page shows."""

    name: Annotated[str, Meta(description="That of the instance.")]
    status: Annotated[
        Status, Meta(description="`waiting`: nothing goes on, call start. `scan`: the code can be scanned.")
    ]
    text: Annotated[str, Meta(description="In words for humans.")]
    qr: QrPicture | None
    pairing_code: Annotated[str, Meta(examples=["ABCD-1234"])] | None
    expires_at: Annotated[Moment, Meta(description="The end of the page.")]


class PairingCode(Shape):
    """`code` is null until WhatsApp has given one."""

    phone: Phone | None
    code: Annotated[str, Meta(examples=["ABCD-1234"])] | None


_BINARY, _TEXT = {"type": "string", "format": "binary"}, {"type": "string"}
_OTHER_NETWORK = ("test_key_on_live", "live_key_on_sandbox")
_LINKING = ("logging_out", "too_many_links", "linking_busy", *_OTHER_NETWORK)
_BY_PAGE = "Credentials are the token of the page: the part of its address after `#`, as `Authorization: Bearer`."
TAG = Tag("Instances", "WhatsApp numbers: linked, connected, stopped.")
OPERATIONS: Operations = {
    views.InstancesView.get: Operation("List instances", answers={200: InstancePage}, paged=True, query=InstancesQuery),
    views.InstancesView.post: Operation(
        "Create an instance",
        "It is linked to a number later: call connect, then scan its QR code.",
        body=NewInstance,
        answers={201: Instance},
        problems=["instance_limit_reached", "url_not_allowed", *_OTHER_NETWORK],
        example={"name": "Support", "network": "sandbox"},
    ),
    views.InstanceView.get: Operation("One instance", answers={200: Instance}, problems=_OTHER_NETWORK),
    views.InstanceView.patch: Operation(
        "Change the name or the settings",
        "Only what is named changes. New settings hold at once, also for messages that wait.",
        body=InstanceChange,
        body_required=False,
        answers={200: Instance},
        problems=["url_not_allowed", *_OTHER_NETWORK],
        example={"settings": {"pacing": {"min_gap_ms": 1500, "jitter_ms": 1000}, "typing": {"simulate": True}}},
    ),
    views.InstanceView.delete: Operation(
        "Delete an instance",
        "It is gone at once, and its place in the plan is free. In the background its link is removed at WhatsApp, its"
        " keys, messages, chats, contacts and files are deleted; then `instance.deleted` tells the end. The audit log,"
        " the event log and the figures of usage stay as long as they do anyway.",
        answers={204: None},
        problems=_OTHER_NETWORK,
    ),
    views.ConnectView.post: Operation(
        "Go online",
        "Idempotent. A linked number logs in; another one shows a QR code.",
        answers={202: Instance},
        problems=_LINKING,
    ),
    views.RestartView.post: Operation(
        "Restart",
        "Ends the connection, or the link in progress, and begins anew; connects what is offline.",
        answers={202: Instance},
        problems=_LINKING,
    ),
    views.InstanceLogoutView.post: Operation(
        "Log out",
        "Idempotent. Removes the link at WhatsApp and the keys here; messages and chats stay, and the number can be"
        " linked again. `logging_out` becomes `logged_out_by_user`, or `link_left` where WhatsApp could not be told.",
        answers={202: Instance},
        problems=_OTHER_NETWORK,
    ),
    views.HistoryView.get: Operation(
        "How the connection fared",
        "Each state it came into and why, newest first, for CONNECTION_HISTORY_DAYS.",
        answers={200: ConnectionChangePage},
        paged=True,
        problems=_OTHER_NETWORK,
    ),
    views.LinkingView.delete: Operation(
        "Cancel linking",
        "Idempotent. Takes back QR codes, pairing code and link page; an instance that is linked by now stays so.",
        answers={202: Instance},
        problems=_OTHER_NETWORK,
    ),
    views.StopView.post: Operation(
        "Go offline", "Idempotent. The link is kept.", answers={202: Instance}, problems=_OTHER_NETWORK
    ),
    link_page_views.InstanceLinkPageView.post: Operation(
        "Open a link page",
        "An address to give to whoever holds the phone: the page shows a live QR code, or a pairing code for a number"
        " that is typed in. It serves for one link, ends by itself, and ends the page before. The address is shown here"
        " once.",
        body=LinkPageInput,
        body_required=False,
        answers={201: OpenedLinkPage},
        problems=["instance_already_linked", *_OTHER_NETWORK],
        example={"expires_in": 900},
    ),
    link_page_views.InstanceLinkPageView.delete: Operation(
        "Close the link page",
        "Idempotent. A link in progress goes on: cancel linking to end that as well.",
        answers={204: None},
        problems=_OTHER_NETWORK,
    ),
    link_page_views.LinkPageView.get: Operation(
        "What a link page shows", _BY_PAGE, answers={200: LinkPage}, problems=["invalid_link"]
    ),
    link_page_views.LinkPageStartView.post: Operation(
        "Start linking by a link page",
        f"Idempotent. {_BY_PAGE}",
        answers={202: LinkPage},
        problems=["invalid_link", "link_page_ended", "logging_out", "too_many_links", "linking_busy"],
    ),
    link_page_views.LinkPageCodeView.post: Operation(
        "Ask for a pairing code by a link page",
        f"A few times for each page. {_BY_PAGE}",
        body=PairingCodeInput,
        answers={202: LinkPage},
        problems=[
            *("invalid_link", "link_page_ended", "too_many_codes", "instance_already_linked", "number_taken"),
            *("logging_out", "too_many_links", "linking_busy"),
        ],
        example={"phone": "+1 555 010 0001"},
    ),
    views.QrView.get: Operation(
        "The current QR code",
        "As JSON, or by `Accept` or `?format=` as a picture or as text for a terminal.",
        answers={200: QrCode},
        media={"image/png": _BINARY, "image/svg+xml": _TEXT, "text/plain": _TEXT},
        problems=["no_qr", *_OTHER_NETWORK],
    ),
    views.PairingCodeView.get: Operation("The pairing code", answers={200: PairingCode}, problems=_OTHER_NETWORK),
    views.PairingCodeView.post: Operation(
        "Ask for a pairing code",
        "It is typed on the phone instead of scanning; connects if need be.",
        body=PairingCodeInput,
        answers={202: PairingCode},
        problems=["instance_already_linked", "number_in_use", *_LINKING],
        example={"phone": "+1 555 010 0001"},
    ),
}

"""Queries about newsletters: GraphQL over <iq xmlns="w:mex">, and their posts.

Protocol facts
--------------
* A query is named by an id that belongs to the version of the client, its variables are JSON.
* Numbers in the answers are strings, times of names microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.model import Account, Device
from sandbox.newsletters import Newsletter, Post
from sandbox.wire import Jid, Node, WireError, node

from .mex import QUERIES, Answer
from .registry import IqError, handles

if TYPE_CHECKING:
    from sandbox.network import Network


def _metadata(newsletter: Newsletter, viewer: Account) -> dict[str, Any]:
    created = newsletter.created
    text = {"id": str(created), "update_time": str(created * 1_000_000)}
    thread = {
        "creation_time": str(created),
        "invite": newsletter.invite,
        "name": text | {"text": newsletter.name},
        "description": text | {"text": newsletter.description},
        "subscribers_count": str(len(newsletter.followers)),
        "verification": "UNVERIFIED",
        "picture": {"url": "", "id": "", "type": "IMAGE", "direct_path": ""},
        "preview": {"url": "", "id": "", "type": "PREVIEW", "direct_path": ""},
        "settings": {"reaction_codes": {"value": "all"}},
    }
    muted = "ON" if viewer.number in newsletter.muted else "OFF"
    return {
        "id": str(newsletter.jid),
        "state": {"type": "ACTIVE"},
        "thread_metadata": thread,
        "viewer_metadata": {"mute": muted, "role": newsletter.role(viewer.number)},
    }


def _named(net: Network, viewer: Account, variables: dict[str, Any]) -> Newsletter:
    try:
        newsletter = net.newsletter(Jid.parse(str(variables["newsletter_id"])), viewer.realm)
    except (KeyError, WireError) as e:
        raise IqError(400, "bad-request") from e
    if newsletter is None:
        raise IqError(404, "item-not-found")
    return newsletter


def _create(net: Network, viewer: Account, variables: dict[str, Any]) -> Any:
    asked = variables.get("newsletter_input") or {}
    newsletter = net.newsletters.create(viewer, str(asked.get("name", "")), str(asked.get("description") or ""))
    return {"xwa2_newsletter_create": _metadata(newsletter, viewer)}


def _fetch(net: Network, viewer: Account, variables: dict[str, Any]) -> Any:
    asked = variables.get("input") or {}
    key, found = str(asked.get("key", "")), None
    if asked.get("type") == "INVITE":
        found = net.newsletters.by_invite(key, viewer.realm)
    elif "@" in key:
        found = net.newsletter(Jid.parse(key), viewer.realm)
    if found is None:
        raise IqError(404, "item-not-found")
    return {"xwa2_newsletter": _metadata(found, viewer)}


def _subscribed(net: Network, viewer: Account, variables: dict[str, Any]) -> Any:
    return {"xwa2_newsletter_subscribed": [_metadata(n, viewer) for n in net.newsletters.followed_by(viewer)]}


def _following(follow: bool) -> Answer:
    def answer(net: Network, viewer: Account, variables: dict[str, Any]) -> Any:
        newsletter = _named(net, viewer, variables)
        net.newsletters.follow(newsletter, viewer, follow)
        return {"xwa2_newsletter_join_v2" if follow else "xwa2_newsletter_leave_v2": {"id": str(newsletter.jid)}}

    return answer


def _muting(mute: bool) -> Answer:
    def answer(net: Network, viewer: Account, variables: dict[str, Any]) -> Any:
        newsletter = _named(net, viewer, variables)
        (newsletter.muted.add if mute else newsletter.muted.discard)(viewer.number)
        net.newsletters.save(newsletter)
        return {"xwa2_newsletter_update": _metadata(newsletter, viewer)}

    return answer


# Of the web client, and of desktop clients.
QUERIES |= {
    **dict.fromkeys(("6563316087068696", "9779843322044422"), _fetch),
    "6388546374527196": _subscribed,
    **dict.fromkeys(("6234210096708695", "27527996220149684"), _create),
    **dict.fromkeys(("9926858900719341", "8621797084555037"), _following(True)),
    **dict.fromkeys(("6392786840836363", "8782612271820087"), _following(False)),
    **dict.fromkeys(("6274038279359549", "5971669009605755"), _muting(True)),
    **dict.fromkeys(("6068417879924485", "6104029483058502"), _muting(False)),
}


def _of(net: Network, device: Device, jid: Jid) -> Newsletter:
    newsletter = net.newsletter(jid, device.account.realm)
    if newsletter is None:
        raise IqError(404, "item-not-found")
    return newsletter


def _page(asked: Node, posts: list[Post]) -> list[Node]:
    count = asked.number("count", 0) or len(posts)
    return [post.describe() for post in posts[-count:]]


@handles("newsletter", "get")
def posts(net: Network, device: Device, iq: Node) -> list[Node]:
    if asked := iq.find("messages"):
        newsletter = _of(net, device, asked.jid("jid"))
        before = asked.number("before", 0)
        found = [post for id_, post in newsletter.posts.items() if not before or id_ < before]
        return [node("messages", *_page(asked, found), jid=newsletter.jid, t=newsletter.created)]
    if asked := iq.find("message_updates"):
        newsletter = _of(net, device, iq.jid("to"))
        after = asked.number("after", 0)
        found = [post for id_, post in newsletter.posts.items() if id_ > after]
        listed = node("messages", *_page(asked, found), jid=newsletter.jid)
        return [node("message_updates", listed)]
    raise IqError(501, "feature-not-implemented")


@handles("newsletter", "set")
def live_updates(net: Network, device: Device, iq: Node) -> list[Node]:
    """Accepted; nobody sends any."""
    return [node("live_updates", duration=300)]


@handles("tos", "set")
def accept_terms(net: Network, device: Device, iq: Node) -> None:
    """Accepted and forgotten."""

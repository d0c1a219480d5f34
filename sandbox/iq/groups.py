"""Queries about groups.  A group lives in the realm of its creator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox import groups
from sandbox.model import Account, Device, Group, Topic, new_invite, now
from sandbox.wire import Jid, Node, node

from .registry import IqError, handles

if TYPE_CHECKING:
    from sandbox.network import Network


def _group(net: Network, device: Device, jid: Jid) -> Group:
    group = net.group(jid, device.account.realm)
    if group is None:
        raise IqError(404, "item-not-found")
    if device.account not in group.members:
        raise IqError(403, "forbidden")
    return group


def _by_invite(net: Network, device: Device, code: str) -> Group:
    realm = device.account.realm
    group = next((g for g in net.groups.values() if g.invite == code and g.realm == realm), None)
    if group is None:
        raise IqError(406, "not-acceptable")
    return group


def _invited(net: Network, device: Device, jid: Jid, invitation: Node) -> Group:
    """The group behind an invitation; it expires, and the code must be the group's."""
    group = net.group(jid, device.account.realm)
    if group is None or invitation.text("code", "") != group.invite:
        raise IqError(406, "not-acceptable")
    if 0 < invitation.number("expiration", 0) < now():
        raise IqError(410, "gone")
    return group


def _accounts(net: Network, device: Device, parent: Node) -> dict[Jid, Account | None]:
    realm = device.account.realm
    return {p.jid("jid"): net.account(p.jid("jid"), realm) for p in parent.all("participant")}


@handles("w:g2", "get")
def get_group(net: Network, device: Device, iq: Node) -> list[Node]:
    to, me = iq.jid("to"), device.account
    if invite := iq.find("invite"):
        if "code" in invite.attrs:
            return [_by_invite(net, device, invite.text("code")).describe()]
        return [node("invite", code=_group(net, device, to).invite)]
    if iq.find("participating"):
        return [node("groups", *(g.describe() for g in net.groups.values() if me in g.members))]
    if request := iq.find("query", "add_request"):  # an invitation in a message
        return [_invited(net, device, to, request).describe()]
    if iq.find("query"):
        return [_group(net, device, to).describe()]
    if iq.find("membership_approval_requests"):
        return [node("membership_approval_requests")]
    raise IqError(501, "feature-not-implemented")


@handles("w:g2", "set")
def set_group(net: Network, device: Device, iq: Node) -> list[Node] | None:
    change = next(iter(iq), None)
    if change is None:
        raise IqError(400, "bad-request")
    if change.tag == "accept":
        group = _invited(net, device, iq.jid("to"), change)
        groups.join(net, device, group)
        return [node("group", jid=group.jid)]
    if iq.jid("to").user:
        return _change(net, device, _group(net, device, iq.jid("to")), change)
    match change.tag:
        case "create":
            return [_create(net, device, change)]
        case "leave":
            left = [_leave(net, device, _group(net, device, Jid.parse(g.text("id")))) for g in change.all("group")]
            return [node("leave", *left)]
        case "invite":
            group = _by_invite(net, device, change.text("code"))
            groups.join(net, device, group)
            return [node("group", jid=group.jid)]
    raise IqError(501, "feature-not-implemented")


def _change(net: Network, device: Device, group: Group, change: Node) -> list[Node] | None:
    me = device.account
    match change.tag:
        case "add" | "remove" | "promote" | "demote":
            return [_change_members(net, device, group, change)]
        case "subject":
            group.subject = change.content.decode() if isinstance(change.content, bytes) else ""
            groups.announce(
                net, device, group, node("subject", subject=group.subject, s_t=now(), s_o=me.lid, s_o_pn=me.pn)
            )
        case "description":
            text = change.data("body").decode()
            group.topic = Topic(change.text("id", ""), text, me.lid, me.pn, now()) if text else None
            groups.announce(net, device, group, group.describe_topic() or node("description", node("delete"), id="0"))
        case "announcement" | "locked":
            group.flags.add(change.tag)
            groups.announce(net, device, group, node(change.tag, v_id=now()))
        case "not_announcement" | "unlocked":
            group.flags.discard({"not_announcement": "announcement", "unlocked": "locked"}[change.tag])
            groups.announce(net, device, group, node(change.tag, v_id=now()))
        case "ephemeral" | "not_ephemeral":
            groups.set_timer(net, device, group, change.number("expiration", 0))
        case "invite":
            group.invite = new_invite()
            net.save_group(group)
            return [node("invite", code=group.invite)]
        case "member_add_mode" | "membership_approval_mode":
            pass  # accepted and forgotten
        case _:
            raise IqError(501, "feature-not-implemented")
    return None


def _create(net: Network, device: Device, change: Node) -> Node:
    members = [account for account in _accounts(net, device, change).values() if account]
    flags = {c.tag for c in change if c.tag in ("locked", "announcement")}
    return groups.create(net, device, change.text("subject", ""), members, flags).describe()


def _leave(net: Network, device: Device, group: Group) -> Node:
    groups.leave(net, device, group)
    return node("group", id=group.jid)


def _change_members(net: Network, device: Device, group: Group, change: Node) -> Node:
    if group.members[device.account] is None:
        raise IqError(403, "forbidden")
    named = _accounts(net, device, change)
    known = {j: a for j, a in named.items() if a and (change.tag == "add" or a in group.members)}
    groups.change_members(net, device, group, change.tag, known.values())
    answers = [
        group.participant(known[jid]) if jid in known else node("participant", jid=jid, error=404) for jid in named
    ]
    return node(change.tag, *answers)

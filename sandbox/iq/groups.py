"""Queries about groups.  A group lives in the realm of its creator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.model import Account, Device, Group, Topic, new_invite, now
from sandbox.wire import Jid, Node, Value, node

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


def _announce(net: Network, device: Device, group: Group, change: Node, *extra: Account) -> None:
    """Tell every member about a change (the author's other devices included) and keep it."""
    author = device.account
    about: dict[str, Value] = {"participant": author.lid, "participant_pn": author.pn}
    about |= {"notify": author.name, "addressing_mode": "lid"}
    for account in {*group.members, *extra}:
        net.notify(account, change, type="w:gp2", from_=group.jid, **about)
    net.save_group(group)


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
            group.members.setdefault(device.account, None)
            _announce(net, device, group, node("add", group.participant(device.account), reason="invite"))
            return [node("group", jid=group.jid)]
    raise IqError(501, "feature-not-implemented")


def _change(net: Network, device: Device, group: Group, change: Node) -> list[Node] | None:
    me = device.account
    match change.tag:
        case "add" | "remove" | "promote" | "demote":
            return [_change_members(net, device, group, change)]
        case "subject":
            group.subject = change.content.decode() if isinstance(change.content, bytes) else ""
            _announce(net, device, group, node("subject", subject=group.subject, s_t=now(), s_o=me.lid, s_o_pn=me.pn))
        case "description":
            text = change.data("body").decode()
            group.topic = Topic(change.text("id", ""), text, me.lid, me.pn, now()) if text else None
            _announce(net, device, group, group.describe_topic() or node("description", node("delete"), id="0"))
        case "announcement" | "locked":
            group.flags.add(change.tag)
            _announce(net, device, group, node(change.tag, v_id=now()))
        case "not_announcement" | "unlocked":
            group.flags.discard({"not_announcement": "announcement", "unlocked": "locked"}[change.tag])
            _announce(net, device, group, node(change.tag, v_id=now()))
        case "ephemeral" | "not_ephemeral":
            group.ephemeral = int(change.text("expiration", "0"))
            net.save_group(group)
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
    me = device.account
    group = Group(Group.new_jid(), change.text("subject", ""), me.lid, me.pn, me.realm, {})
    group.members[me] = "superadmin"
    group.flags = {c.tag for c in change if c.tag in ("locked", "announcement")}
    group.members |= {a: None for a in _accounts(net, device, change).values() if a and a is not me}
    net.groups[group.jid.user] = group
    _announce(net, device, group, node("create", group.describe(), type="new"))
    return group.describe()


def _leave(net: Network, device: Device, group: Group) -> Node:
    _announce(net, device, group, node("remove", group.participant(device.account)))
    del group.members[device.account]
    return node("group", id=group.jid)


def _change_members(net: Network, device: Device, group: Group, change: Node) -> Node:
    if group.members[device.account] is None:
        raise IqError(403, "forbidden")
    answers, changed = [], []
    for jid, account in _accounts(net, device, change).items():
        if account is None or (change.tag != "add" and account not in group.members):
            answers.append(node("participant", jid=jid, error=404))
            continue
        match change.tag:
            case "add":
                group.members.setdefault(account, None)
            case "remove":
                del group.members[account]
            case _:
                group.members[account] = "admin" if change.tag == "promote" else None
        answers.append(group.participant(account))
        changed.append(account)
    if changed:
        notice = node(change.tag, *(group.participant(a) for a in changed))
        _announce(net, device, group, notice, *changed)
    if change.tag == "add":
        for account in changed:
            created = node("create", group.describe(), type="new")
            net.notify(account, created, type="w:gp2", from_=group.jid, participant=device.account.lid)
    return node(change.tag, *answers)

"""What can be done to a group, by a client's query or by the user of a phone.  Everybody in it is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .model import Account, Device, Group
from .wire import Node, Value, node

if TYPE_CHECKING:
    from .network import Network


def announce(net: Network, device: Device, group: Group, change: Node, *extra: Account) -> None:
    """Tell every member about a change (the author's other devices included) and keep it."""
    author = device.account
    about: dict[str, Value] = {"participant": author.lid, "participant_pn": author.pn}
    about |= {"notify": author.name, "addressing_mode": "lid"}
    for account in {*group.members, *extra}:
        net.notify(account, change, type="w:gp2", from_=group.jid, **about)
    net.save_group(group)


def create(net: Network, device: Device, subject: str, members: Iterable[Account], flags: Iterable[str] = ()) -> Group:
    me = device.account
    group = Group(Group.new_jid(), subject, me.lid, me.pn, me.realm, {}, flags=set(flags))
    group.members |= {me: "superadmin"} | {account: None for account in members if account is not me}
    net.groups[group.jid.user] = group
    announce(net, device, group, node("create", group.describe(), type="new"))
    return group


def join(net: Network, device: Device, group: Group) -> None:
    """By invitation."""
    group.members.setdefault(device.account, None)
    announce(net, device, group, node("add", group.participant(device.account), reason="invite"))


def leave(net: Network, device: Device, group: Group) -> None:
    announce(net, device, group, node("remove", group.participant(device.account)))
    group.members.pop(device.account, None)
    net.save_group(group)


def change_members(net: Network, device: Device, group: Group, action: str, members: Iterable[Account]) -> None:
    """Add, remove, promote or demote; only members can be changed, and only others added."""
    changed = list(members)
    for account in changed:
        match action:
            case "add":
                group.members.setdefault(account, None)
            case "remove":
                group.members.pop(account, None)
            case _:
                group.members[account] = "admin" if action == "promote" else None
    if not changed:
        return
    announce(net, device, group, node(action, *(group.participant(a) for a in changed)), *changed)
    if action == "add":
        for account in changed:
            created = node("create", group.describe(), type="new")
            net.notify(account, created, type="w:gp2", from_=group.jid, participant=device.account.lid)


def set_timer(net: Network, device: Device, group: Group, seconds: int) -> None:
    """How long messages last in it; 0: for ever."""
    group.ephemeral = seconds
    change = node("ephemeral", expiration=seconds) if seconds else node("not_ephemeral")
    announce(net, device, group, change)

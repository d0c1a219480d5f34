"""What is not kept for those who are away: presence, typing; and calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.model import Device, now
from sandbox.wire import GROUP, LID, Node, Value, node

if TYPE_CHECKING:
    from sandbox.network import Network


def on_presence(net: Network, device: Device, stanza: Node) -> None:
    kind = stanza.attrs.get("type", "available")
    if kind in ("subscribe", "unsubscribe"):
        to = stanza.jid("to")
        target = net.account(to, device.account.realm)
        if target and kind == "subscribe":
            target.watchers.add(device)
            if device.session:
                device.session.send(net.presence_of(target, to, device.account))
        elif target:
            target.watchers.discard(device)
        return
    if name := stanza.text("name", ""):
        device.account.name = name
        net.save_account(device.account)
    net.set_presence(device, online=kind == "available")


def on_chatstate(net: Network, device: Device, stanza: Node) -> None:
    to, realm = stanza.jid("to"), device.account.realm
    if to.server == GROUP:
        group = net.group(to, realm)
        readers = list(group.members) if group and device.account in group.members else []
        attrs: dict[str, Value] = {"from": to, "participant": device.lid}
    else:
        account = net.account(to, realm)
        readers = [account] if account and device.account.lid not in account.blocked else []
        attrs = {"from": device.lid.bare if to.server == LID else device.pn.bare}
    for reader in readers:
        for other in reader.devices.values():
            if other.active and other.session and reader is not device.account:
                other.session.send(Node("chatstate", attrs, stanza.content))


def on_call(net: Network, device: Device, stanza: Node) -> None:
    """Call signalling (offer, reject, terminate) goes to every device of the other side."""
    to, id_ = stanza.jid("to"), stanza.text("id")
    if account := net.account(to, device.account.realm):
        if device.session:
            device.session.send(node("ack", class_="call", id=id_, from_=to))
        me = device.lid if to.server == LID else device.pn
        attrs: dict[str, Value] = {"from": me, "id": id_, "t": now(), "notify": device.account.name}
        for other in account.devices.values():
            net.deliver(other, Node("call", attrs, stanza.content))

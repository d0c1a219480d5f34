"""Where the stanzas of a device go: messages, receipts, acks, presence, typing, calls.

Protocol facts
--------------
* Addressing: clients of 2026 send direct messages to the recipient's LID (hidden id) and resolve
  it from the phone number with a usync query first.  Group members are LIDs as well.  The
  server adds the counterpart in attributes (sender_pn, participant_pn).
* The sender encrypts once for each recipient device (<participants><to jid=DEVICE><enc/>); the
  server hands every device its own <enc>.  Group messages carry one <enc type="skmsg"> for all.
* The server confirms a message with <ack class="message" t=TIME>; this completes the client's
  send call.  Recipients confirm with <receipt>, which the server acks and relays to the sender.
* A client that lost its connection before the ack sends the same stanza again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .model import MAX_REMEMBERED, Device, now
from .wire import GROUP, LID, Jid, Node, Value, node

if TYPE_CHECKING:
    from .network import Network

Handler = Callable[["Network", Device, Node], None]

_NOT_RELAYED = {"sender", "peer_msg", "hist_sync", "server-error", "read-self", "played-self"}


def _garbled(child: Node) -> Node:
    """Damage the ciphertext of an <enc> (its last byte belongs to the MAC or signature)."""
    if child.tag != "enc" or not isinstance(child.content, bytes) or not child.content:
        return child
    return Node("enc", child.attrs, child.content[:-1] + bytes([child.content[-1] ^ 1]))


def _present(attrs: dict[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attrs.items() if value is not None}


# --- messages -------------------------------------------------------------------------------


def on_message(net: Network, sender: Device, stanza: Node) -> None:
    faults, id_, to = sender.account.faults, stanza.text("id"), stanza.jid("to")
    ack = node("ack", class_="message", id=id_, from_=to, t=now())
    if faults.ack_error:
        ack.attrs["error"] = faults.ack_error
    elif sender.phone is None and (before := _sent_before(sender, stanza)):
        ack.attrs["t"] = before
    else:
        net.messages += 1
        if faults.lose_messages:
            faults.lose_messages -= 1
            net.save_account(sender.account)
        else:
            _route_message(net, sender, stanza)
    if faults.drop_acks and sender.session:
        faults.drop_acks -= 1
        net.save_account(sender.account)
    elif session := sender.session:
        net.later(faults.ack_delay, lambda: session.send(ack))


def _sent_before(sender: Device, stanza: Node) -> int:
    """When this very message was accepted before, else 0.

    The answer to a retry receipt has the id of its message, but one recipient and a <enc count>.
    """
    count = next((e.attrs["count"] for e in stanza if e.tag == "enc" and "count" in e.attrs), "")
    key = "|".join(str(stanza.attrs.get(name, "")) for name in ("id", "to", "participant")) + f"|{count}"
    if before := sender.sent.get(key):
        return before
    sender.sent[key] = now()
    if len(sender.sent) > MAX_REMEMBERED:
        del sender.sent[next(iter(sender.sent))]
    return 0


def _route_message(net: Network, sender: Device, stanza: Node) -> None:
    a, to, realm = stanza.attrs, stanza.jid("to"), sender.account.realm
    garble = sender.account.faults.corrupt > 0
    if garble:
        sender.account.faults.corrupt -= 1
        net.save_account(sender.account)
    shared = [c for c in stanza if c.tag in ("enc", "meta", "biz", "bot")]
    identity = stanza.find("device-identity")
    common: dict[str, Value] = {"id": a["id"], "t": now(), "type": stanza.text("type")}
    common |= {"notify": sender.account.name}
    common |= {name: a[name] for name in ("edit", "category") if name in a}
    single: dict[Jid, list[Node]] = {share.jid("jid"): list(share) for share in (stanza.find("participants") or ())}
    if to.server == GROUP:
        group = net.group(to, realm)
        if group is None or sender.account not in group.members:
            return
        common |= {"from": to, "participant": sender.lid, "participant_pn": sender.account.pn}
        common["addressing_mode"] = "lid"
        if retry_of := stanza.optional_jid("participant"):  # the answer to one device's retry receipt
            single = {retry_of: []}
        elif any(e.tag == "enc" for e in shared):  # sender key messages go to everybody
            for account in group.members:
                for device in account.devices.values():
                    single.setdefault(device.lid, [])
    elif not single:  # addressed to one device: retries and peer messages
        single = {to: []}
    for jid, own in single.items():
        recipient = net.device(jid, realm)
        if recipient is None or recipient is sender:
            continue
        attrs = dict(common)
        if to.server != GROUP:
            attrs |= _direct_attrs(sender, recipient, stanza)
        content = own + shared
        if garble:
            content = [_garbled(c) for c in content]
        if identity and any(e.attrs.get("type") == "pkmsg" for e in content):
            content.append(identity)
        net.deliver(recipient, Node("message", attrs, content))


def _direct_attrs(sender: Device, recipient: Device, stanza: Node) -> dict[str, Value]:
    to = stanza.jid("to")
    by_lid = to.server == LID
    out: dict[str, Value | None] = {"from": sender.lid if by_lid else sender.pn}
    out |= {"sender_pn": sender.account.pn} if by_lid else {"sender_lid": sender.account.lid}
    if recipient.account is sender.account:  # a copy for another device of the sender
        out["recipient"] = (stanza.optional_jid("recipient") or to).bare
        out["peer_recipient_pn"] = stanza.attrs.get("peer_recipient_pn")
    return _present(out)


# --- confirmations --------------------------------------------------------------------------


def on_receipt(net: Network, reader: Device, stanza: Node) -> None:
    a, id_, to = stanza.attrs, stanza.text("id"), stanza.jid("to")
    kind, participant = a.get("type"), stanza.optional_jid("participant")
    net.confirm(reader, "message", id_, to, participant)
    if reader.session:
        ack = {"class": "receipt", "id": id_, "from": to, "type": kind, "participant": participant, "t": now()}
        reader.session.send(Node("ack", _present(ack)))
    author = participant if to.server == GROUP else to
    account = net.account(author, reader.account.realm) if author else None
    if author is None or account is None or kind in _NOT_RELAYED:
        return
    me = reader.lid if author.server == LID else reader.pn
    where = {"from": to, "participant": me} if to.server == GROUP else {"from": me}
    relayed = _present({"id": id_, "t": a.get("t", now()), "type": kind, **where})
    for device in account.devices.values():
        if author.device in (0, device.number):
            net.deliver(device, Node("receipt", relayed, stanza.content))


def on_ack(net: Network, device: Device, stanza: Node) -> None:
    participant = stanza.optional_jid("participant")
    net.confirm(device, stanza.text("class"), stanza.text("id"), stanza.text("to"), participant)


# --- what is not kept for those who are away ------------------------------------------------


def on_presence(net: Network, device: Device, stanza: Node) -> None:
    kind = stanza.attrs.get("type", "available")
    if kind in ("subscribe", "unsubscribe"):
        to = stanza.jid("to")
        target = net.account(to, device.account.realm)
        if target and kind == "subscribe":
            target.watchers.add(device)
            if device.session:
                device.session.send(net.presence_of(target, to))
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
        readers = [account] if account else []
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


HANDLERS: dict[str, Handler] = {
    "message": on_message,
    "receipt": on_receipt,
    "ack": on_ack,
    "presence": on_presence,
    "chatstate": on_chatstate,
    "call": on_call,
}

"""Where messages go.

Protocol facts
--------------
* Addressing: clients of 2026 send direct messages to the recipient's LID (hidden id) and resolve
  it from the phone number with a usync query first.  Group members are LIDs as well.  The
  server adds the counterpart in attributes (sender_pn, participant_pn).
* The sender encrypts once for each recipient device (<participants><to jid=DEVICE><enc/>); the
  server hands every device its own <enc>.  Group messages carry one <enc type="skmsg"> for all.
* Status posts look like those of a group "status@broadcast", whose members are the <participants>.
* The server confirms a message with <ack class="message" t=TIME>; this completes the client's
  send call.  Recipients confirm with <receipt>, which the server acks and relays to the sender.
* A client that lost its connection before the ack sends the same stanza again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sandbox.model import MAX_REMEMBERED, Device, now
from sandbox.wire import GROUP, LID, NEWSLETTER, STATUS, Jid, Node, Value, node

if TYPE_CHECKING:
    from sandbox.network import Network


def on_message(net: Network, sender: Device, stanza: Node) -> None:
    faults, id_, to = sender.account.faults, stanza.text("id"), stanza.jid("to")
    if _spent(net, sender, "cut_before_delivery"):
        return
    ack = node("ack", class_="message", id=id_, from_=to, t=now())
    if error := _refusal(net, sender, to):
        ack.attrs["error"] = error
    elif sender.phone is None and (before := _sent_before(sender, stanza)):
        ack.attrs["t"] = before
        if (newsletter := net.newsletter(to, sender.account.realm)) and (post := newsletter.post_by_id(id_)):
            ack.attrs["server_id"] = post.server_id
    else:
        net.messages += 1
        if faults.lose_messages:
            faults.lose_messages -= 1
            net.save_account(sender.account)
        elif to.server == NEWSLETTER:
            server_id, error = net.newsletters.accept(sender, stanza)
            ack.attrs |= {"error": error} if error else {"server_id": server_id}
        else:
            _route(net, sender, stanza)
    if _spent(net, sender, "cut_before_ack"):
        return
    if faults.drop_acks and sender.session:
        faults.drop_acks -= 1
        net.save_account(sender.account)
    elif session := sender.session:
        net.later(faults.ack_delay, lambda: session.send(ack))


def _spent(net: Network, sender: Device, fault: str) -> bool:
    """Whether one of the next N messages cuts the client's connection; then it has."""
    faults = sender.account.faults
    if sender.session is None or not (left := getattr(faults, fault)):
        return False
    setattr(faults, fault, left - 1)
    net.save_account(sender.account)
    sender.session.abort()
    return True


def _refusal(net: Network, sender: Device, to: Jid) -> int:
    """The error code with which a client's message is refused, or 0."""
    faults = sender.account.faults
    if sender.phone or not (faults.ack_error or faults.cold_error):
        return 0
    if error := faults.ack_error:
        if faults.ack_error_count:
            faults.ack_error_count -= 1
            if not faults.ack_error_count:
                faults.ack_error = 0
            net.save_account(sender.account)
        return error
    other = net.account(to.bare, sender.account.realm)
    if other is None or sender.account.knows(other) or (faults.cold_until and time.time() >= faults.cold_until):
        return 0
    return faults.cold_error


def _sent_before(sender: Device, stanza: Node) -> int:
    """When this very message was accepted before, else 0.

    The answer to a retry receipt has the id of its message, but one recipient and a <enc count>; a change of a
    newsletter's post has the id of the post.
    """
    count = next((e.attrs["count"] for e in stanza if e.tag == "enc" and "count" in e.attrs), "")
    attrs = stanza.attrs
    key = "|".join([str(attrs.get(name, "")) for name in ("id", "to", "participant")]) + f"|{count}"
    if attrs.get("edit") and stanza.jid("to").server == NEWSLETTER:
        key += f"|{hash(stanza.data('plaintext'))}"
    if before := sender.sent.get(key):
        return before
    sender.sent[key] = now()
    if len(sender.sent) > MAX_REMEMBERED:
        del sender.sent[next(iter(sender.sent))]
    return 0


def _garbled(child: Node) -> Node:
    """Damage the ciphertext of an <enc> (its last byte belongs to the MAC or signature)."""
    if child.tag != "enc" or not isinstance(child.content, bytes) or not child.content:
        return child
    return Node("enc", child.attrs, child.content[:-1] + bytes([child.content[-1] ^ 1]))


def _route(net: Network, sender: Device, stanza: Node) -> None:
    a, to, realm = stanza.attrs, stanza.jid("to"), sender.account.realm
    garble = sender.account.faults.corrupt > 0
    if garble:
        sender.account.faults.corrupt -= 1
        net.save_account(sender.account)
    content = [c for c in stanza if c.tag in ("enc", "meta", "biz", "bot")]
    identity = stanza.find("device-identity")
    common: dict[str, Value] = {"id": a["id"], "t": now(), "type": stanza.text("type")}
    common |= {"notify": sender.account.name}
    common |= {name: a[name] for name in ("edit", "category") if name in a}
    shared = to.server == GROUP or to == STATUS
    if shared:
        common |= {"from": to, "participant": sender.lid, "participant_pn": sender.account.pn}
        common["addressing_mode"] = "lid"
    for jid, own in _recipients(net, sender, stanza).items():
        recipient = net.device(jid, realm)
        if recipient is None or recipient is sender:
            continue
        attrs = dict(common)
        if not shared:
            attrs |= _direct_attrs(sender, recipient, stanza)
            if sender.account.lid in recipient.account.blocked:
                continue
            if recipient.account is not sender.account:
                net.wrote(sender.account, recipient.account)
        parts = [*own, *content]
        if garble:
            parts = [_garbled(part) for part in parts]
        if identity and any(part.attrs.get("type") == "pkmsg" for part in parts):
            parts.append(identity)
        net.deliver(recipient, Node("message", attrs, parts))


def _recipients(net: Network, sender: Device, stanza: Node) -> dict[Jid, list[Node]]:
    """The devices that get a message, each with what is for it alone."""
    to = stanza.jid("to")
    named: dict[Jid, list[Node]] = {share.jid("jid"): list(share) for share in (stanza.find("participants") or ())}
    if to.server == GROUP:
        group = net.group(to, sender.account.realm)
        if group is None or sender.account not in group.members:
            return {}
    if to.server == GROUP or to == STATUS:
        if retry_of := stanza.optional_jid("participant"):  # the answer to one device's retry receipt
            return {retry_of: []}
        if to.server == GROUP and stanza.find("enc"):  # sender key messages go to everybody
            for account in net.groups[to.user].members:
                for device in account.devices.values():
                    named.setdefault(device.lid, [])
        return named
    return named or {to: []}  # addressed to one device: retries and peer messages


def _direct_attrs(sender: Device, recipient: Device, stanza: Node) -> dict[str, Value]:
    to = stanza.jid("to")
    by_lid = to.server == LID
    out: dict[str, Value] = {"from": sender.lid if by_lid else sender.pn}
    out |= {"sender_pn": sender.account.pn} if by_lid else {"sender_lid": sender.account.lid}
    if recipient.account is sender.account:  # a copy for another device of the sender
        out["recipient"] = (stanza.optional_jid("recipient") or to).bare
        if "peer_recipient_pn" in stanza.attrs:
            out["peer_recipient_pn"] = stanza.attrs["peer_recipient_pn"]
    return out

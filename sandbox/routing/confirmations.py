"""Receipts and acks of what was delivered.

Protocol facts
--------------
* A receipt may stand for several messages: the first in `id`, the others in <list><item id/></list>.
* A retry receipt asks for the message once more; its content goes to the sender as it is.
* In groups and for status posts `participant` names the author in a receipt, and the reader when it is relayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.model import Device, now
from sandbox.wire import GROUP, LID, NEWSLETTER, STATUS, Node, Value

if TYPE_CHECKING:
    from sandbox.network import Network

_NOT_RELAYED = {"sender", "peer_msg", "hist_sync", "server-error", "read-self", "played-self"}


def _present(attrs: dict[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attrs.items() if value is not None}


def on_receipt(net: Network, reader: Device, stanza: Node) -> None:
    a, id_, to = stanza.attrs, stanza.text("id"), stanza.jid("to")
    kind, participant = a.get("type"), stanza.optional_jid("participant")
    net.confirm(reader, "message", id_, to, participant)
    if reader.session:
        ack = {"class": "receipt", "id": id_, "from": to, "type": kind, "participant": participant, "t": now()}
        reader.session.send(Node("ack", _present(ack)))
    if to.server == NEWSLETTER:
        if kind == "view":
            net.newsletters.viewed(to, reader.account, stanza)
        return
    shared = to.server == GROUP or to == STATUS
    author = participant if shared else to
    account = net.account(author, reader.account.realm) if author else None
    if author is None or account is None or kind in _NOT_RELAYED:
        return
    me = reader.lid if author.server == LID else reader.pn
    where: dict[str, Value | None] = {"from": to, "participant": me} if shared else {"from": me}
    if account is reader.account:
        where["recipient"] = a.get("recipient")  # of a copy: whose chat it is in
    relayed = _present({"id": id_, "t": a.get("t", now()), "type": kind, "edit": a.get("edit"), **where})
    for device in account.devices.values():
        if author.device in (0, device.number) and device is not reader:
            net.deliver(device, Node("receipt", relayed, stanza.content))


def on_ack(net: Network, device: Device, stanza: Node) -> None:
    participant = stanza.optional_jid("participant")
    net.confirm(device, stanza.text("class"), stanza.text("id"), stanza.text("to"), participant)

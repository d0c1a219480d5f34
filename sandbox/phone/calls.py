"""The calls of a phone: there is no media, so nobody can answer. They are forgotten when the sandbox ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import msgspec

from sandbox.errors import CallNotFound
from sandbox.model import MAX_REMEMBERED
from sandbox.wire import GROUP, Jid, Node, Value, node

if TYPE_CHECKING:
    from .phone import Phone


class Call(msgspec.Struct):
    id: str
    other: Jid  # who is called, or calls
    outgoing: bool
    video: bool
    status: Literal["ringing", "rejected", "ended"] = "ringing"


class Calls:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self.known: dict[str, Call] = {}  # by id, oldest first

    def ring(self, to: Jid, video: bool) -> str:
        """Call a person, or everybody in a group. Returns the call's id."""
        call = Call(os.urandom(16).hex().upper(), to, True, video)
        self._keep(call)
        if to.server == GROUP:
            what: dict[str, Value] = {"media": "video" if video else "audio", "type": "group", "group-jid": to}
            self._say(call, "offer_notice", what)
        else:
            media = [node("audio", enc="opus", rate=16000), node("net", medium=3)]
            self._say(call, "offer", {}, media + [node("video", enc="vp8")] * video)
        return call.id

    def hang_up(self, id_: str, reason: str) -> None:
        """Raises CallNotFound."""
        call = self.known.get(id_)
        if call is None or not call.outgoing:
            raise CallNotFound(f"{self._phone.account.number} has not made the call {id_}")
        call.status = "ended"
        self._say(call, "terminate", {"reason": reason} if reason else {})

    def receive(self, stanza: Node) -> None:
        for child in stanza:
            id_ = child.text("call-id", "")
            known = self.known.get(id_)
            if child.tag in ("offer", "offer_notice") and id_ and known is None:
                video = child.find("video") is not None or child.text("media", "") == "video"
                self._keep(Call(id_, stanza.jid("from").bare, False, video))
            elif child.tag == "reject" and known is not None and known.outgoing:
                known.status = "rejected"
            elif child.tag == "terminate" and known is not None:
                known.status = "ended"

    def _keep(self, call: Call) -> None:
        self.known[call.id] = call
        if len(self.known) > MAX_REMEMBERED:
            del self.known[next(iter(self.known))]

    def _say(self, call: Call, tag: str, attrs: dict[str, Value], content: list[Node] | None = None) -> None:
        phone = self._phone
        creator: dict[str, Value] = {
            "call-id": call.id,
            "call-creator": phone.device.lid,
            "caller_pn": phone.device.pn.bare,
        }
        for to in self._called(call.other):
            what = Node(tag, creator | attrs, content)
            phone.network.handle(phone.device, node("call", what, to=to, id=phone.network.new_id()))

    def _called(self, to: Jid) -> list[Jid]:
        if to.server != GROUP:
            return [to]
        group = self._phone.network.group(to, self._phone.account.realm)
        return [one.lid for one in group.members if one is not self._phone.account] if group else []

"""How a client gets linked: the server's part.

Protocol facts
--------------
* A client without credentials gets <pair-device> with six references, each good for one QR code:
  the first for 60 seconds, each further one for 20.
* Linking by code: see linking.py; the server passes companion_hello, primary_hello and
  companion_finish between client and phone.
* Either way ends in <pair-success>; the client stores its credentials, confirms, gets
  <stream:error code="515"> and comes back with a login.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import NoPairing, QrExpired, QrInvalid, WrongCode
from .linking import CodePairing, QrCode, sign_device
from .model import Account, Device, SignedPrekey, now
from .protos import DeviceProps
from .wire import SERVER, Node, node

if TYPE_CHECKING:
    from .network import Network
    from .session import Session

log = logging.getLogger(__name__)

FIRST_REF, NEXT_REF, REFS = 60, 20, 6  # seconds, seconds, count
CODE_TIMEOUT = 10  # seconds for the client to answer a typed code
MAX_UNCONFIRMED = 5  # links of one account that were offered and never used


@dataclass
class _Link:
    """What one waiting session has been told."""

    started: float
    refs: list[str]
    code: tuple[Account, CodePairing] | None = None
    typed: asyncio.Future[None] | None = None  # the phone's user waits for the outcome
    offered: str = ""  # id of the <pair-success>
    device: Device | None = None


class Pairings:
    """The links in progress.  They end with the process; a client whose link was cut starts over."""

    def __init__(self, network: Network, clock: Callable[[], float]) -> None:
        self._network, self._clock = network, clock
        self._links: dict[Session, _Link] = {}
        self._refs: dict[str, Session] = {}

    def offer(self, session: Session) -> None:
        """A client without credentials connects: give it references for QR codes."""
        refs = [base64.b64encode(secrets.token_bytes(48)).decode() for _ in range(REFS)]
        self._links[session] = _Link(self._clock(), refs)
        self._refs.update(dict.fromkeys(refs, session))
        offer = node("pair-device", *(node("ref", ref) for ref in refs))
        session.send(node("iq", offer, from_=SERVER, type="set", id=self._network.new_id(), xmlns="md"))

    def abandon(self, session: Session) -> None:
        """The session ended."""
        if link := self._links.pop(session, None):
            for ref in link.refs:
                self._refs.pop(ref, None)
            if link.typed and not link.typed.done():
                link.typed.set_exception(NoPairing("the client has gone"))

    # --- QR code ------------------------------------------------------------------------

    def scan(self, account: Account, text: str) -> None:
        """The phone of `account` scans a QR code.  Raises QrInvalid or QrExpired."""
        qr = QrCode.parse(text)
        session = self._refs.get(qr.ref)
        if session is None:
            raise QrExpired("the QR code has expired or was used")
        link = self._links[session]
        if self._clock() >= link.started + FIRST_REF + NEXT_REF * link.refs.index(qr.ref):
            raise QrExpired("the QR code has expired")
        if session.payload.devicePairingData.eIdent != qr.identity or session.noise_key != qr.noise_key:
            raise QrInvalid("the QR code does not belong to the client's connection")
        self._offer_success(account, session, link, qr.adv_secret)

    # --- code ---------------------------------------------------------------------------

    def start_code(self, session: Session, account: Account, wrapped_key: bytes) -> bytes:
        """A client shows a pairing code for a number; returns the reference of this attempt."""
        pairing = CodePairing(account.identity, base64.b64encode(secrets.token_bytes(24)), wrapped_key)
        self._links[session].code = account, pairing
        return pairing.ref

    def waits(self, session: Session) -> bool:
        return session in self._links

    async def enter_code(self, account: Account, code: str) -> None:
        """The user of `account`'s phone types a pairing code; returns when the client has been linked.

        Raises NoPairing or WrongCode; after a wrong code the right one can be typed.
        """
        waiting = [(s, link) for s, link in self._links.items() if link.code and link.code[0] is account]
        if not waiting:
            raise NoPairing("no client waits for a code of this number")
        session, link = waiting[-1]
        assert link.code is not None, "selected above"
        pairing = link.code[1]
        wrapped = await asyncio.to_thread(pairing.enter, code)  # slow on purpose: a key from a short code
        if self._links.get(session) is not link:
            raise NoPairing("the client has gone")
        hello = node(
            "link_code_companion_reg",
            node("link_code_pairing_wrapped_primary_ephemeral_pub", wrapped),
            node("primary_identity_pub", account.identity.public),
            node("link_code_pairing_ref", pairing.ref),
            stage="primary_hello",
        )
        if link.typed and not link.typed.done():
            link.typed.set_exception(NoPairing("another code was typed"))
        typed = link.typed = asyncio.get_running_loop().create_future()
        number = self._network.new_id()
        session.send(node("notification", hello, from_=SERVER, type="link_code_companion_reg", id=number, t=now()))
        try:
            await asyncio.wait_for(typed, CODE_TIMEOUT)
        except TimeoutError:
            raise NoPairing("the client does not answer") from None

    def finish_code(self, session: Session, bundle: bytes, identity: bytes) -> None:
        """The client answers a typed code.  Raises WrongCode or NoPairing."""
        link = self._links.get(session)
        if link is None or link.code is None:
            raise NoPairing("no pairing by code is under way")
        account, pairing = link.code
        try:
            secret = pairing.finish(bundle, identity)
        except WrongCode as e:
            if link.typed and not link.typed.done():
                link.typed.set_exception(e)
            raise
        # The answer to the client's query goes out first.
        self._network.later(0.01, lambda: self._offer_success(account, session, link, secret))

    # --- both ---------------------------------------------------------------------------

    def _offer_success(self, account: Account, session: Session, link: _Link, adv_secret: bytes) -> None:
        if self._links.get(session) is not link:
            return
        for ref in link.refs:
            self._refs.pop(ref, None)
        data, number = session.payload.devicePairingData, account.next_device
        while number in account.devices or number in account.unconfirmed:
            number = number % 255 + 1  # one byte on the wire
        account.next_device = number % 255 + 1
        self._network.save_account(account)
        prekey = SignedPrekey(data.eSkeyID, data.eSkeyVal, data.eSkeySig)
        device = Device(number, session.noise_key, data.eIdent, data.eRegid, prekey)
        device.name = DeviceProps.FromString(data.deviceProps).os[:100]
        device.account, link.device, link.offered = account, device, self._network.new_id()
        # The client stores its credentials before it confirms: a server that forgot the offer when it
        # was killed in between would turn a linked client away.
        account.unconfirmed[number] = device
        self._network.save_device(device, "unconfirmed")
        while len(account.unconfirmed) > MAX_UNCONFIRMED:
            self._withdraw(next(iter(account.unconfirmed.values())))
        success = node(
            "pair-success",
            node("device-identity", sign_device(account.identity, data.eIdent, adv_secret, number)),
            node("device", jid=device.pn, lid=device.lid),
            node("platform", name="android"),
        )
        session.send(node("iq", success, from_=SERVER, type="set", id=link.offered, xmlns="md", t=now()))

    def answered(self, session: Session, iq: Node) -> None:
        """The client's answer to <pair-device> (ignored) or <pair-success>."""
        link = self._links.get(session)
        if link is None or link.device is None or iq.text("id") != link.offered:
            return
        if iq.text("type") == "error":
            log.warning("the client refused the link: %s", iq)
            self._withdraw(link.device)
            if link.typed and not link.typed.done():
                link.typed.set_exception(NoPairing("the client refused the link"))
            return
        self.confirm(link.device)
        if link.typed and not link.typed.done():
            link.typed.set_result(None)
        session.send(node("stream:error", code=515))
        self._network.part(session)

    def confirm(self, device: Device) -> None:
        """The client has its credentials: from now on it is one of the account's devices."""
        if device.account.unconfirmed.pop(device.number, None):
            device.account.devices[device.number] = device
            self._network.state.delete("unconfirmed", str(device))
            self._network.save_device(device)

    def _withdraw(self, device: Device) -> None:
        if device.account.unconfirmed.pop(device.number, None):
            self._network.state.delete("unconfirmed", str(device))

"""Clients without a socket that get linked."""

from __future__ import annotations

import asyncio
import base64
import os

from sandbox.crypto import KeyPair
from sandbox.model import Account, Device
from sandbox.network import Network
from sandbox.wire import Node, node

from .harness import MemorySession


def waiting(network: Network) -> tuple[MemorySession, list[str]]:
    """A client that wants to be linked, and the QR codes that it shows one after the other."""
    session, identity, adv = MemorySession(network), KeyPair.generate().public, os.urandom(32)
    data = session.payload.devicePairingData
    data.eIdent, data.eRegid, data.eSkeyID = identity, b"\0\0\0\1", b"\0\0\1"
    data.eSkeyVal, data.eSkeySig = KeyPair.generate().public, bytes(64)
    network.connected(session)
    text = [base64.b64encode(part).decode() for part in (session.noise_key, identity, adv)]
    refs = [ref.data().decode() for ref in session.last("iq").find("pair-device") or ()]
    return session, ["https://wa.me/settings/linked_devices#" + ",".join([ref, *text, "6"]) for ref in refs]


def log_in(network: Network, account: Account, noise_key: bytes, number: int = 1) -> MemorySession:
    session = MemorySession(network, noise_key)
    session.payload.username, session.payload.device = int(account.number), number
    network.connected(session)
    return session


def answer(session: MemorySession, kind: str) -> None:
    """The client's answer to <pair-success>."""
    session.network.received(session, node("iq", type=kind, id=session.last("iq").text("id")))


async def linked(network: Network, phone: str, realm: str = "") -> MemorySession:
    """A session of a client that is linked and gets live stanzas."""
    account = network.create_account(phone, phone, realm)
    session, codes = waiting(network)
    network.pairings.scan(account, codes[0])
    answer(session, "result")
    live = log_in(network, account, session.noise_key, max(account.devices))
    live.query("passive", "set", node("active"))
    while live.device is None or not live.device.active:
        await asyncio.sleep(0.001)
    return live


def device_of(session: MemorySession) -> Device:
    assert session.device is not None
    return session.device


def upload_prekey(session: MemorySession) -> None:
    def key(tag: str) -> Node:
        return node(tag, node("id", b"\0\0\1"), node("value", KeyPair.generate().public))

    reply = session.query("encrypt", "set", key("skey"), node("list", key("key")))
    assert reply.attrs["type"] == "result"
    assert len(device_of(session).prekeys) == 1

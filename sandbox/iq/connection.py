"""Queries about the connection, linking, keys, media servers and synchronised settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from sandbox.errors import ControlError
from sandbox.model import Device, SignedPrekey
from sandbox.wire import Node, Value, node

from .registry import IqError, before_login, handles

if TYPE_CHECKING:
    from sandbox.network import Network
    from sandbox.session import Session


@before_login("w:p", "get")
def ping(net: Network, session: Session, iq: Node) -> None:
    """Keepalive, every 20 to 30 seconds."""


@handles("passive", "set")
def passive(net: Network, device: Device, iq: Node) -> None:
    """<active/> right after login starts live delivery (the result goes out before it)."""
    if iq.find("active"):
        net.later(0.001, lambda: net.activate(device))
    else:
        device.active = False


@before_login("md", "set")
def devices(net: Network, session: Session, iq: Node) -> list[Node] | None:
    """A linked client removes a device of its account; a new one is linked by code."""
    if removal := iq.find("remove-companion-device"):
        if session.device is None:
            raise IqError(401, "not-authorized")
        device = session.device.account.devices.get(removal.jid("jid").device)
        if device and not device.phone:
            net.later(0.05, lambda: net.remove_device(device))
        return None
    link = iq.find("link_code_companion_reg")
    if link is None or not net.pairings.waits(session):
        raise IqError(400, "bad-request")
    match link.text("stage"):
        case "companion_hello":
            # Who links chooses the number, so this one look-up knows no realm.
            account = net.accounts.get(link.jid("jid").user)
            if account is None:
                raise IqError(404, "item-not-found")
            wrapped = link.data("link_code_pairing_wrapped_companion_ephemeral_pub")
            reference = node("link_code_pairing_ref", net.pairings.start_code(session, account, wrapped))
            return [node("link_code_companion_reg", reference, stage="companion_hello")]
        case "companion_finish":
            bundle = link.data("link_code_pairing_wrapped_key_bundle")
            try:
                net.pairings.finish_code(session, bundle, link.data("companion_identity_public"))
            except ControlError as e:
                raise IqError(400, "bad-request") from e
    return None


# --- keys -----------------------------------------------------------------------------------


@handles("encrypt", "get")
def get_keys(net: Network, device: Device, iq: Node) -> list[Node]:
    """<count/>: how many one-time prekeys are left; <key>: prekey bundles of devices."""
    if iq.find("count"):
        return [node("count", value=len(device.prekeys))]
    answers = []
    for user in iq.find("key") or ():
        jid = user.jid("jid")
        other = net.device(jid, device.account.realm)
        if other is None:
            answers.append(node("user", node("error", code=404, text="item-not-found"), jid=jid))
        else:
            answers.append(net.take_bundle(other, jid))
    return [node("list", *answers)]


@handles("encrypt", "set")
def put_keys(net: Network, device: Device, iq: Node) -> None:
    """Upload of one-time prekeys, with the current signed prekey."""
    signed = SignedPrekey.of(iq.find("skey"))
    keys = {key.data("id"): key.data("value") for key in iq.find("list") or ()}
    if any(len(value) != 32 for value in (signed.value, *keys.values())):
        raise IqError(400, "bad-request")  # a phone could not write to this device any more
    device.signed_prekey = signed
    net.save_device(device)
    device.prekeys |= keys
    for id_, value in keys.items():
        net.state.put("prekey", f"{device}/{id_.hex()}", value)


# --- media and settings ---------------------------------------------------------------------


@handles("w:m", "set")
def media_conn(net: Network, device: Device, iq: Node) -> list[Node]:
    host = node("host", hostname=net.media.host)
    return [
        node("media_conn", host, auth=net.media.auth_of(device.account.number), ttl=300, auth_ttl=300, max_buckets=12)
    ]


@handles("w:sync:app:state", "set")
def app_state(net: Network, device: Device, iq: Node) -> list[Node]:
    """Synchronised settings, see appstate.py.  There are no snapshots, only patches.

    A client's first fetch keeps, of several values for one contact, the oldest if they come in one answer (in a
    snapshot there is one only): who fetches gets one patch at a time.
    """
    answers = []
    for asked in iq.find("sync") or ():
        name, base = asked.text("name", ""), int(asked.text("version", "0") or 0)
        collection, patch, error = device.account.collection(name), asked.data("patch"), None
        if patch and base != collection.version:
            error = node("error", code=409, text="conflict")
        elif patch:
            try:
                collection.append(patch)
            except DecodeError as e:
                raise IqError(400, "bad-request") from e
            net.save_account(device.account)
            base = collection.version
            for other in device.account.devices.values():
                if other is not device:
                    changed = node("collection", name=name, version=collection.version)
                    net.notify_device(other, changed, type="server_sync")
        patches = [node("patch", p) for p in collection.patches[base:]]
        more = "true" if len(patches) > 1 and not error else None
        content = node("patches", *(patches[:1] if more else patches)) if patches else None
        about: dict[str, Value | None] = {"version": collection.version, "name": name, "has_more_patches": more}
        answers.append(node("collection", content, error, type="error" if error else None, **about))
    return [node("sync", *answers)]

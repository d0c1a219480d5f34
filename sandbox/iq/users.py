"""Queries about people: directory, pictures, privacy, "about" texts."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from sandbox.model import Account, Device, now
from sandbox.wire import PN, Jid, Node, node

from .registry import IqError, handles

if TYPE_CHECKING:
    from sandbox.network import Network


def _device_list(account: Account) -> Node:
    known = (node("device", id=n, **{"key-index": n}) for n in account.devices)
    return node("devices", node("device-list", *known), version=2)


def _usync_field(account: Account, name: str) -> Node | None:
    match name:
        case "devices":
            return _device_list(account)
        case "lid":
            return node("lid", val=account.lid)
        case "status":
            return node("status", account.about)
        case "picture" if account.picture:
            return node("picture", id=account.picture[0])
        case "disappearing_mode":
            return node("disappearing_mode", duration=0, t=0)
    return None  # business, username, sidelist, ...


@handles("usync", "get")
def usync(net: Network, device: Device, iq: Node) -> list[Node]:
    """User directory.  A user is named by JID, or by <contact>+NUMBER@c.us</contact>.

    Who is unknown in the asking realm comes back without fields; a client that wants to write to such a
    number fails with "no LID found".
    """
    asked = iq.find("usync")
    if asked is None:
        raise IqError(400, "bad-request")
    fields = [f.tag for f in asked.find("query") or ()]
    users = []
    for user in asked.find("list") or ():
        jid, contact = user.optional_jid("jid"), user.data("contact")
        number = contact.decode(errors="replace").partition("@")[0].lstrip("+")
        account = net.account(jid or Jid(number, PN), device.account.realm)
        found = node("contact", contact, type="in" if account else "out") if contact else None
        if account is None:
            users.append(node("user", found, jid=jid or Jid(number)))
            continue
        known = [_usync_field(account, f) for f in fields]
        if jid:
            users.append(node("user", *known, jid=jid))
        else:
            users.append(node("user", found, *known, jid=account.lid, pn_jid=account.pn))
    result = node("result", *(node(f) for f in fields))
    return [Node("usync", asked.attrs, [result, node("list", *users)])]


@handles("w:profile:picture", "get")
def get_picture(net: Network, device: Device, iq: Node) -> list[Node]:
    account = net.account(iq.optional_jid("target") or device.pn, device.account.realm)
    if account is None or account.picture is None:
        raise IqError(404, "item-not-found")
    id_, token = account.picture
    url, path = net.media.location(token, account.number)
    asked = iq.find("picture")
    kind = asked.text("type", "image") if asked else "image"
    return [node("picture", id=id_, type=kind, url=url, direct_path=path)]


@handles("w:profile:picture", "set")
def set_picture(net: Network, device: Device, iq: Node) -> list[Node]:
    image, account = iq.data("picture"), device.account
    if "target" in iq.attrs:  # group photos are accepted and forgotten
        return [node("picture", id=str(now()))]
    account.picture = None
    if image:
        account.picture = str(now()), f"picture-{secrets.token_hex(16)}"
        net.media.put(account.picture[1], image)
    net.save_account(account)
    return [node("picture", id=account.picture[0])] if account.picture else []


@handles("privacy", "get")
def get_privacy(net: Network, device: Device, iq: Node) -> list[Node]:
    settings = device.account.privacy.items()
    return [node("privacy", *(node("category", name=k, value=v) for k, v in settings))]


@handles("privacy", "set")
def set_privacy(net: Network, device: Device, iq: Node) -> None:
    """Settings, or <tokens>: "trusted contact" tokens for a chat partner, relayed to them."""
    account = device.account
    for category in iq.find("privacy") or ():
        account.privacy[category.text("name")] = category.text("value")
        net.save_account(account)
    for token in iq.find("tokens") or ():
        partner = net.account(token.jid("jid"), account.realm)
        if partner and partner is not account:
            secret = hashlib.sha256(f"{account.number} trusts {partner.number}".encode()).digest()
            tokens = node("tokens", node("token", secret, type="trusted_contact", t=token.text("t")))
            net.notify(partner, tokens, type="privacy_token", from_=account.pn, sender_lid=account.lid)


@handles("blocklist", "get", "set")
def blocklist(net: Network, device: Device, iq: Node) -> list[Node]:
    """The list is kept, but a blocked user still gets through."""
    blocked = device.account.blocked
    if item := iq.find("item"):
        (blocked.add if item.text("action") == "block" else blocked.discard)(item.jid("jid"))
        net.save_account(device.account)
    return [node("list", *(node("item", jid=j) for j in sorted(blocked)), dhash=str(len(blocked)))]


@handles("status", "get")
def get_status_privacy(net: Network, device: Device, iq: Node) -> list[Node]:
    """Who gets status posts: a client that posts one asks first, and sends it to these."""
    kind, numbers = device.account.status_privacy
    listed = [net.accounts[number] for number in numbers if number in net.accounts]
    users = [node("user", jid=account.pn) for account in listed if account.realm == device.account.realm]
    return [node("privacy", node("list", *users, type=kind, default="true"))]


@handles("status", "set")
def set_about(net: Network, device: Device, iq: Node) -> None:
    device.account.about = iq.data("status").decode(errors="replace")
    net.save_account(device.account)


@handles("disappearing_mode", "set")
def set_disappearing(net: Network, device: Device, iq: Node) -> None:
    """Accepted and forgotten."""

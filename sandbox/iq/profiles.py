"""Queries about what an account shows, and to whom: picture, "about" text, privacy, blocks, contact link."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from sandbox.model import Account, Device, now
from sandbox.profiles import CONTACT_LINK, new_contact_code, shows
from sandbox.wire import Node, node

from .mex import QUERIES
from .registry import IqError, handles

if TYPE_CHECKING:
    from sandbox.network import Network


@handles("w:profile:picture", "get")
def get_picture(net: Network, device: Device, iq: Node) -> list[Node]:
    account = net.account(iq.optional_jid("target") or device.pn, device.account.realm)
    if account is None or account.picture is None:
        raise IqError(404, "item-not-found")
    if not shows(account, "profile", device.account):
        raise IqError(401, "not-authorized")
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
    """Who is blocked is named by LID."""
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


@handles("disappearing_mode", "set")
def set_disappearing(net: Network, device: Device, iq: Node) -> None:
    """How long messages of new chats stay; what clients make of it is theirs."""
    if mode := iq.find("disappearing_mode"):
        device.account.disappearing = mode.number("duration", 0)
        net.save_account(device.account)


def _set_about(net: Network, account: Account, variables: dict[str, Any]) -> Any:
    account.about = str((variables.get("input") or {}).get("text") or "")
    net.save_account(account)
    return {"xwa2_update_text_status": {"result": "SUCCESS"}}


SET_ABOUT = "9152604461510864"
QUERIES[SET_ABOUT] = _set_about


@handles("w:qr", "set")
def contact_link(net: Network, device: Device, iq: Node) -> list[Node]:
    """The account's own link, made when it is first asked for, or anew."""
    asked, account = iq.find("qr"), device.account
    if asked is None or asked.text("type", "") != "contact":
        raise IqError(400, "bad-request")
    if asked.text("action", "") == "revoke" or not account.contact_code:
        account.contact_code = new_contact_code()
        net.save_account(account)
    return [node("qr", code=f"{CONTACT_LINK}{account.contact_code}", type="contact")]


@handles("w:qr", "get")
def resolve_link(net: Network, device: Device, iq: Node) -> list[Node]:
    asked, realm = iq.find("qr"), device.account.realm
    code = asked.text("code", "") if asked else ""
    owner = next((a for a in net.accounts.values() if code and a.contact_code == code and a.realm == realm), None)
    if owner is None:
        raise IqError(404, "item-not-found")
    return [node("qr", jid=owner.pn, notify=owner.name, type="contact")]

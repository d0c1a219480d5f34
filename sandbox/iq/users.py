"""The directory of people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.model import Account, Device
from sandbox.profiles import certificate, shows
from sandbox.wire import PN, Jid, Node, Value, node

from .registry import IqError, handles

if TYPE_CHECKING:
    from sandbox.network import Network


def _device_list(account: Account) -> Node:
    known = (node("device", id=n, **{"key-index": n}) for n in account.devices)
    return node("devices", node("device-list", *known), version=2)


def _usync_field(account: Account, name: str, viewer: Account) -> Node | None:
    match name:
        case "devices":
            return _device_list(account)
        case "lid":
            return node("lid", val=account.lid)
        case "status" if shows(account, "status", viewer):
            return node("status", account.about)
        case "status":
            return node("status", code=401, type="fail")
        case "picture" if account.picture and shows(account, "profile", viewer):
            return node("picture", id=account.picture[0])
        case "disappearing_mode":
            return node("disappearing_mode", duration=account.disappearing, t=0)
        case "business" if account.business_name:
            about: dict[str, Value | None] = {"verified_level": "high", "v": 2, "host_storage": 1, "actual_actors": 1}
            name_node = node("verified_name", certificate(account), **about, privacy_mode_ts=int(account.created))
            return node("business", name_node)
    return None  # username, sidelist, ...


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
        known = [_usync_field(account, f, device.account) for f in fields]
        if jid:
            users.append(node("user", *known, jid=jid))
        else:
            users.append(node("user", found, *known, jid=account.lid, pn_jid=account.pn))
    result = node("result", *(node(f) for f in fields))
    return [Node("usync", asked.attrs, [result, node("list", *users)])]

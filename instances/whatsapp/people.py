"""What WhatsApp tells of people and of the number itself when it is asked. Free of the client library."""

from __future__ import annotations

from typing import NamedTuple

from instances.whatsapp.jids import Jid


class Registration(NamedTuple):
    """A phone number that is on WhatsApp: its LID, or its phone's JID if it has none."""

    jid: Jid
    business_name: str = ""  # verified by WhatsApp


class UserInfo(NamedTuple):
    """What somebody shows to the number that asks; empty is what is not set, or hidden."""

    about: str
    picture_id: str
    devices: int  # linked ones, the phone included; 0: nobody of this name is on WhatsApp
    business_name: str


class Picture(NamedTuple):
    """A profile picture at WhatsApp: ``id`` changes with the picture, ``url`` expires after some days."""

    id: str
    url: str


class Names(NamedTuple):
    """What the number calls itself: its profile name, and that of a verified business."""

    name: str
    business_name: str


class LinkTarget(NamedTuple):
    """Whom a contact link leads to."""

    jid: Jid
    name: str


class PrivacySetting(NamedTuple):
    """A setting of WhatsApp: its name there, that in the library's answers, and the values it can have."""

    wa_name: str
    field: str
    values: tuple[str, ...]


_AUDIENCE = ("all", "contacts", "contact_blacklist", "none")
# By the API's names. ``contact_blacklist``: all contacts but those that were excluded on the phone.
PRIVACY: dict[str, PrivacySetting] = {
    "last_seen": PrivacySetting("last", "LastSeen", _AUDIENCE),
    "online": PrivacySetting("online", "Online", ("all", "match_last_seen")),
    "picture": PrivacySetting("profile", "Profile", _AUDIENCE),
    "about": PrivacySetting("status", "Status", _AUDIENCE),
    "read_receipts": PrivacySetting("readreceipts", "ReadReceipts", ("all", "none")),
    "groups": PrivacySetting("groupadd", "GroupAdd", _AUDIENCE),
    "calls": PrivacySetting("calladd", "CallAdd", ("all", "known")),
}
DISAPPEARING_SECONDS = (0, 86_400, 604_800, 7_776_000)  # those of WhatsApp's own clients

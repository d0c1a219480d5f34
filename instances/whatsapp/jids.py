"""JIDs as text: ``49151…@s.whatsapp.net`` (a phone number), ``…@lid``, ``…@g.us``, with an optional ``:device``."""

from __future__ import annotations

import re
from typing import NamedTuple

PHONE, LID, GROUP, BROADCAST, NEWSLETTER = "s.whatsapp.net", "lid", "g.us", "broadcast", "newsletter"
_JID = re.compile(
    r"([0-9]{1,20}(?:-[0-9]{1,20})?|status)(?::([0-9]{1,5}))?@(s\.whatsapp\.net|lid|g\.us|broadcast|newsletter)"
)
# For descriptions of the API: no text that these fit is refused.
PHONE_NUMBER = r"^[ ().-]*\+?[ ().-]*[1-9]([ ().-]*[0-9]){6,14}[ ().-]*$"
RECIPIENT = (
    rf"{PHONE_NUMBER}|^[1-9][0-9]{{6,14}}(:[0-9]{{1,5}})?@s\.whatsapp\.net$"
    r"|^([0-9]{1,20}(-[0-9]{1,20})?|status)(:[0-9]{1,5})?@(lid|g\.us|broadcast|newsletter)$"
)
_DECORATION = re.compile(r"[\s().-]")


class InvalidJid(ValueError):
    """The text is neither a phone number nor a JID."""


class Jid(NamedTuple):
    user: str
    server: str = PHONE
    device: int = 0

    def __str__(self) -> str:
        device = f":{self.device}" if self.device else ""
        return f"{self.user}{device}@{self.server}"

    @property
    def bare(self) -> Jid:
        """Without the device."""
        return Jid(self.user, self.server)

    @property
    def phone(self) -> str | None:
        return self.user if self.server == PHONE else None


def parse(text: str) -> Jid:
    """Raises InvalidJid."""
    match = _JID.fullmatch(text)
    if match is None:
        raise InvalidJid(f"not a JID: {text!r}")
    return Jid(match[1], match[3], int(match[2] or 0))


def phone_number(text: str) -> str:
    """The digits of an international phone number, as WhatsApp writes it. Raises InvalidJid."""
    digits = _DECORATION.sub("", text).removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or not 7 <= len(digits) <= 15 or digits.startswith("0"):
        raise InvalidJid("not a phone number with country code")
    return digits


def recipient(text: str) -> Jid:
    """Whom a message goes to: a phone number in any common spelling, or a JID. Raises InvalidJid."""
    if "@" not in text:
        return Jid(phone_number(text))
    jid = parse(text).bare
    return jid if jid.phone is None else Jid(phone_number(jid.phone))

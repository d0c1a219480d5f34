"""JIDs as text: ``49151…@s.whatsapp.net`` (a phone number), ``…@lid``, ``…@g.us``, with an optional ``:device``."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any, NamedTuple

import phonenumbers

PHONE, LID, GROUP, BROADCAST, NEWSLETTER = "s.whatsapp.net", "lid", "g.us", "broadcast", "newsletter"
_JID = re.compile(
    r"([0-9]{1,20}(?:-[0-9]{1,20})?|status)(?::([0-9]{1,5}))?@(s\.whatsapp\.net|lid|g\.us|broadcast|newsletter)"
)
# For descriptions of the API: no text that these fit is refused.
PHONE_NUMBER = r"^[ ().-]*\+?[ ().-]*[1-9]([ ().-]*[0-9]){6,14}[ ().-]*$"
_PHONE_JID = r"^[1-9][0-9]{6,14}(:[0-9]{1,5})?@s\.whatsapp\.net$"
RECIPIENT = (
    rf"{PHONE_NUMBER}|{_PHONE_JID}|^status$"
    r"|^([0-9]{1,20}(-[0-9]{1,20})?|status)(:[0-9]{1,5})?@(lid|g\.us|broadcast|newsletter)$"
)
PERSON = rf"{PHONE_NUMBER}|{_PHONE_JID}|^[0-9]{{1,20}}(:[0-9]{{1,5}})?@lid$"
_DECORATION = re.compile(r"[\s().-]")


class InvalidJid(ValueError):
    """The text is neither a phone number nor a JID."""


class InvalidPhoneNumber(InvalidJid):
    """The text has the form of a phone number, but no country has such a number."""


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


@lru_cache(maxsize=10_000)
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


def possible_number(text: str) -> str:
    """The digits of a phone number that its country can have, national prefix removed (``+49 (0)151…``).

    Raises InvalidJid, or InvalidPhoneNumber.
    """
    digits = phone_number(text)
    for size in (1, 2, 3):
        code, national = int(digits[:size]), digits[size:]
        if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            plan = _plan(code)
            # By hand: the library takes a hundred times as long for the numbers that are right as they stand.
            if len(national) in plan.lengths and not (plan.prefix and plan.prefix.match(national)):
                return digits
            break
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException as error:
        raise InvalidPhoneNumber("no country has this code") from error
    if not phonenumbers.is_possible_number(number):
        raise InvalidPhoneNumber("no number of this country is so long or so short")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


class _Plan(NamedTuple):
    """How the national numbers of a country are made."""

    lengths: frozenset[int]
    prefix: re.Pattern[str] | None  # what may stand before them, such as a trunk zero


@cache
def _plan(code: int) -> _Plan:
    region = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code][0]
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    prefix = metadata.national_prefix_for_parsing
    return _Plan(frozenset(metadata.general_desc.possible_length), re.compile(prefix) if prefix else None)


STATUS = Jid("status", BROADCAST)


@lru_cache(maxsize=10_000)
def recipient(text: str) -> Jid:
    """Whom a message goes to: a phone number in any common spelling, a JID, or ``status``.

    Raises InvalidJid, or InvalidPhoneNumber.
    """
    if "@" in text:
        jid = parse(text).bare
        return jid if jid.phone is None else Jid(phone_number(jid.phone))
    return STATUS if text == "status" else Jid(possible_number(text))


def person(text: str) -> Jid:
    """A phone number, or the JID or LID of a person. Raises InvalidJid, or InvalidPhoneNumber."""
    jid = recipient(text)
    if jid.server not in (PHONE, LID):
        raise InvalidJid(f"not a person: {text!r}")
    return jid

"""What all methods of the control API share: how they name phones, groups and messages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sandbox.errors import BadArguments, DeviceNotFound, GroupNotFound, MessageNotFound, PhoneNotFound
from sandbox.model import Account, Device, Group
from sandbox.network import Network
from sandbox.newsletters import Newsletter
from sandbox.phone import Phone, Received
from sandbox.wire import Jid, WireError

_NUMBER = re.compile(r"\+?([1-9][0-9]{4,14})")


def digits(phone: str) -> str:
    """Raises BadArguments."""
    match = _NUMBER.fullmatch(phone)
    if match is None:
        raise BadArguments("a phone number has 5 to 15 digits and starts with the country code")
    return match[1]


class Methods:
    """All phone numbers are digits with country code (5 to 15; a leading "+" is dropped)."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def _account(self, phone: str) -> Account:
        account = self._network.accounts.get(digits(phone))
        if account is None:
            raise PhoneNotFound(f"there is no phone {phone}")
        return account

    def _phone(self, phone: str) -> Phone:
        return self._account(phone).phone

    def _neighbours(self, account: Account, phones: Sequence[str]) -> list[Account]:
        """Others of the same realm."""
        found = [self._account(phone) for phone in phones]
        for other in found:
            if other.realm != account.realm:
                raise PhoneNotFound(f"there is no phone {other.number}")
        return found

    def _devices(self, phone: str, device: int | None) -> list[Device]:
        """One or all of the linked clients."""
        devices = self._account(phone).devices
        if device is None:
            return [d for d in devices.values() if not d.phone]
        if device not in devices or device == 0:
            raise DeviceNotFound(f"{phone} has no linked device {device}")
        return [devices[device]]

    def _message(self, phone: str, id_: str) -> Received:
        """What a phone got or wrote."""
        entry = self._phone(phone).inbox.find(id_)
        if entry is None:
            raise MessageNotFound(f"{phone} has no message {id_}")
        return entry

    def _group(self, jid: str) -> Group:
        group = self._network.groups.get(jid.removesuffix("@g.us"))
        if group is None:
            raise GroupNotFound(f"there is no group {jid}")
        return group

    def _newsletter(self, account: Account, jid: str) -> Newsletter:
        try:
            newsletter = self._network.newsletter(Jid.parse(jid), account.realm)
        except WireError as e:
            raise GroupNotFound(str(e)) from e
        if newsletter is None:
            raise GroupNotFound(f"there is no newsletter {jid}")
        return newsletter

    @staticmethod
    def _about(account: Account) -> dict[str, Any]:
        return {
            "phone": account.number,
            "name": account.name,
            "jid": str(account.pn),
            "lid": str(account.lid),
            "realm": account.realm,
        }

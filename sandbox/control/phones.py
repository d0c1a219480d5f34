"""Making phones, linking clients to them, their address books and signs of life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from .base import Methods, digits


class PhoneMethods(Methods):
    def create_phone(self, phone: str, name: str = "", realm: str = "") -> dict[str, Any]:
        """Idempotent within a realm; a name updates the phone's.  409 phone_taken."""
        number = digits(phone)
        known = self._network.accounts.get(number)
        return self._about(self._network.create_account(number, name or (known.name if known else number), realm))

    def phones(self, realm: str = "") -> list[dict[str, Any]]:
        """The phones of a realm, oldest first."""
        return [self._about(a) for a in self._network.accounts.values() if a.realm == realm]

    def phone(self, phone: str) -> dict[str, Any]:
        """One phone with its linked devices."""
        account = self._account(phone)
        devices = [{"device": d.number, "connected": d.session is not None} for d in self._devices(phone, None)]
        return self._about(account) | {"devices": devices}

    def connections(self, phone: str) -> list[dict[str, Any]]:
        """The latest logins of a phone's linked clients, oldest first."""
        found = [{"device": d.number} | asdict(c) for d in self._devices(phone, None) for c in d.connections]
        return sorted(found, key=lambda one: float(one["since"]))

    def scan(self, phone: str, qr: str) -> None:
        """The phone scans the QR code that a client shows.  400 qr_invalid, 409 qr_expired."""
        self._network.pairings.scan(self._account(phone), qr)

    async def enter_code(self, phone: str, code: str) -> None:
        """The phone's user types a pairing code; answers when the client is linked.  409 no_pairing, wrong_code."""
        await self._network.pairings.enter_code(self._account(phone), code)

    def save_contacts(self, phone: str, contacts: dict[str, str]) -> None:
        """Phone number -> name; an empty name takes one out."""
        self._phone(phone).companions.save_contacts({digits(number): name for number, name in contacts.items()})

    def status_privacy(
        self, phone: str, type: Literal["contacts", "whitelist", "blacklist"] = "contacts", phones: Sequence[str] = ()
    ) -> None:
        """Who gets status posts."""
        account = self._account(phone)
        account.status_privacy = (type, [other.number for other in self._neighbours(account, phones)])
        self._network.save_account(account)

    def typing(
        self,
        phone: str,
        to: str,
        state: Literal["composing", "paused"] = "composing",
        media: Literal["", "audio"] = "",
    ) -> None:
        """With media "audio" the user records a voice note."""
        self._phone(phone).typing(to, state, media)

    def presence(self, phone: str, online: bool) -> None:
        self._network.set_presence(self._phone(phone).device, online)

    def call(self, phone: str, to: str, video: bool = False) -> dict[str, str]:
        """Ring a person, or everybody in a group; nobody can answer."""
        return {"id": self._phone(phone).call(to, video)}

    def hang_up(
        self, phone: str, id: str, reason: Literal["", "timeout", "accepted_elsewhere", "rejected_elsewhere"] = ""
    ) -> None:
        """End a call that the phone makes.  404 call_not_found."""
        self._phone(phone).calls.hang_up(id, reason)

    def calls(self, phone: str) -> list[dict[str, Any]]:
        """The calls that a phone made or got, oldest first."""
        found = self._phone(phone).calls.known.values()
        return [
            {"id": one.id, "with": str(one.other), "outgoing": one.outgoing, "video": one.video, "status": one.status}
            for one in found
        ]

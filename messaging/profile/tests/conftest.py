from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any

import pytest

from instances import commands
from instances.holding import attachments
from instances.holding.commands import Command, Commands
from instances.holding.writer import Item
from instances.models import Instance
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.jids import Jid
from instances.whatsapp.people import PRIVACY, LinkTarget, Names, Picture, Registration, UserInfo
from media.tests.conftest import _own_storage, stored
from messaging.contacts import live as of_contacts
from messaging.profile import live as of_profile
from messaging.sending.directory import HANDLERS
from messaging.tests.conftest import hold, make_message, worker

__all__ = ["_own_storage", "hold", "make_message", "stored", "worker"]
CARLA, CARLAS_LID = "15550100002", Jid("777", "lid")


class Account:
    """What WhatsApp has of a number and of Carla; ``asked`` notes the questions, ``error`` is the engine's."""

    def __init__(self) -> None:
        self.name, self.about, self.jpeg = "Acme", "", b""
        self.settings: dict[str, str | None] = dict.fromkeys(PRIVACY, "all")
        self.disappearing = 0
        self.link, self.blocks = "https://wa.me/qr/ONE", set[Jid]()
        self.carla = UserInfo("At sea", "17", 2, "Carla's Boats")
        self.pictures = {CARLAS_LID: Picture("17", "https://pps.whatsapp.net/17")}
        self.asked: list[str] = []
        self.error = ""

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.error:
            raise SendFailed(self.error)

    def names(self) -> Names:
        return Names(self.name, "")

    def set_name(self, name: str) -> None:
        self._ask("name")
        self.name = name

    def set_about(self, about: str) -> None:
        self._ask("about")
        self.about = about

    def set_picture(self, jpeg: bytes) -> str:
        self._ask("picture")
        self.jpeg = jpeg
        return "18"

    def privacy(self) -> dict[str, str | None]:
        self._ask("privacy")
        return dict(self.settings)

    def set_privacy(self, name: str, value: str) -> None:
        self.settings[name] = value

    def set_disappearing(self, seconds: int) -> None:
        self.disappearing = seconds

    def contact_link(self, *, revoke: bool) -> str:
        self.link = "https://wa.me/qr/TWO" if revoke else self.link
        return self.link

    def blocked(self) -> list[Jid]:
        return sorted(self.blocks)

    def block(self, jid: Jid, *, blocked: bool) -> list[Jid]:
        (self.blocks.add if blocked else self.blocks.discard)(jid)
        return self.blocked()

    def user_info(self, jid: Jid) -> UserInfo:
        self._ask(f"user {jid}")
        return self.carla if jid in (Jid(CARLA), CARLAS_LID) else UserInfo(self.about, "", 1, "")

    def picture(self, jid: Jid, *, preview: bool) -> Picture | None:
        self._ask(f"picture of {jid}")
        return self.pictures.get(jid)

    def watch_presence(self, jid: Jid) -> None:
        self._ask(f"presence of {jid}")

    def resolve_link(self, link: str) -> LinkTarget | None:
        return LinkTarget(CARLAS_LID, "Carla") if link.endswith("CARLA") else None


class Number:
    """A held number; what it has written is written at once.

    Carla is on WhatsApp; of numbers that end with 9 WhatsApp says nothing.
    """

    def __init__(self, instance: Instance) -> None:
        self.instance, self.instance_id = instance, instance.id
        self.account = Account()
        self.looked_up: list[list[str]] = []
        self.shown: list[bool] = []
        self.announced: list[str] = []
        self.online = True

    def write(self, value: Any, *, urgent: bool = True) -> Future[Any]:
        written: Future[Any] = Future()
        items = [Item(self.instance_id, 1, value)]
        written.set_result(HANDLERS[type(value)](items, {self.instance_id: self.instance}).results[0])
        return written

    def are_on_whatsapp(self, phones: Collection[str]) -> dict[str, Registration | None]:
        self.looked_up.append(sorted(phones))
        carla = Registration(CARLAS_LID, "Carla's Boats")
        return {phone: carla if phone == CARLA else None for phone in phones if not phone.endswith("9")}

    def presence(self, *, available: bool) -> None:
        self.shown.append(available)

    def announce(self) -> None:
        self.announced.append(self.account.name)


@pytest.fixture
def number(instance: Instance, hold: Callable[[Instance], Instance], monkeypatch: pytest.MonkeyPatch) -> Number:
    """Alice's number; its live commands run at once, in this process, and fail as they would elsewhere."""
    number = Number(hold(instance))
    assert attachments.commands["profile"] is of_profile.profile
    monkeypatch.setattr(of_contacts, "_PRESENCE_SECONDS", 0.05)
    of_contacts.Watch(number)  # type: ignore[arg-type]

    def call(to: Instance, name: str, arguments: dict[str, Any] | None = None, *, seconds: float = 10.0) -> Any:
        if not number.online:
            raise commands.offline()
        assert to.id == number.instance_id
        result = Commands(number)._result(Command("", name, arguments or {}, 0.0))  # type: ignore[arg-type]
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(commands, "call", call)
    return number

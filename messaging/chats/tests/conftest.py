from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone

from instances.holding import attachments
from instances.holding.writer import Item
from instances.models import Instance, Worker
from instances.whatsapp.jids import Jid
from messaging.chats import live, touched
from messaging.chats.reading import read_up_to
from messaging.models import Message
from messaging.tests.conftest import hold, make_message, worker

__all__ = ["hold", "make_message", "worker"]
MakeMessage = Callable[..., Message]


@pytest.fixture
def receive(make_message: MakeMessage) -> Callable[..., Message]:
    """Writes a received message and its chat; by default a text of Carla, whose phone and LID are known."""

    def receive(instance: Instance, **columns: Any) -> Message:
        defaults = {
            "direction": "inbound",
            "status": "received",
            "chat_lid": "777@lid",
            "sender_phone": "15550100002",
            "sender_lid": "777@lid",
            "sender_name": "Carla",
            "sent_at": timezone.now(),
        }
        row = make_message(instance, **(defaults | columns))
        if row.wa_id is None:
            row.wa_id = f"WA{row.id}"
            row.save()
        touched([row])
        return row

    return receive


class Said:
    """A held number that notes what it tells WhatsApp."""

    def __init__(self, instance: Instance) -> None:
        self.instance, self.instance_id = instance, instance.id
        self.read: list[tuple[str, str, tuple[str, ...]]] = []
        self.shown: list[tuple[str, str]] = []
        self.online = True

    def mark_read(self, chat: Jid, sender: Jid, wa_ids: list[str], at: datetime) -> None:
        self.read.append((str(chat), str(sender), tuple(wa_ids)))

    def chat_presence(self, chat: Jid, state: str) -> None:
        self.shown.append((str(chat), state))

    def write(self, value: Any) -> Any:
        read_up_to([Item(self.instance_id, 1, value)], {self.instance_id: self.instance})
        return self

    def result(self) -> None:
        """Written already."""


@pytest.fixture
def number(instance: Instance, worker: Worker, hold: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """Alice's number; its live commands run at once, in this process."""
    said = Said(hold(instance))
    assert attachments.commands["read"] is live.read

    def call(to: Instance, name: str, arguments: dict[str, Any]) -> Any:
        assert to.id == said.instance_id
        return attachments.commands[name](said, arguments)  # type: ignore[arg-type]

    from instances import commands

    monkeypatch.setattr(commands, "call", call)
    return said

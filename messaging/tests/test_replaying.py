"""What a killed worker had committed may be replayed from its journal: the second time nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import models
from django.utils import timezone

from instances.models import Instance
from instances.whatsapp.news import Inbound, Key, Person, ReadOnPhone, Receipt
from messaging.models import (
    Chat,
    EarlyChange,
    Group,
    MemberReceipt,
    Message,
    PollVote,
    Reaction,
    Revision,
)
from messaging.states import Status
from messaging.tests.conftest import Write
from subscriptions.models import DailyUsage
from webhooks.models import Event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CARLA, CHAT, GROUP = Person("15550100002", "777@lid", "Carla"), "15550100002@s.whatsapp.net", "120363000000000001@g.us"
HELLO = Inbound("A", CHAT, "777@lid", CARLA, False, NOON, "text", {"body": "hello"})
POLL = replace(HELLO, wa_id="P", type="poll", content={"question": "?", "options": ["Soup", "Salad"], "selectable": 0})
UNREADABLE = replace(HELLO, wa_id="U", type="undecryptable", content={"reason": "not_decrypted"})


def later(minutes: int, type_: str, content: dict[str, Any], of: str = "A") -> Inbound:
    at = NOON + timedelta(minutes=minutes)
    return replace(HELLO, wa_id=f"C{minutes}", type=type_, content=content, target=Key(of), sent_at=at)


def receipt(kind: str, of: str, chat: str = CHAT, member: Person | None = None) -> Receipt:
    return Receipt((of,), kind, NOON, chat, member)


STORIES: dict[str, list[Any]] = {
    "a message": [HELLO],
    "one from the phone": [replace(HELLO, from_me=True)],
    "a reaction, taken back and given again": [
        HELLO,
        *(later(minute, "reaction", {"emoji": emoji}) for minute, emoji in enumerate(("👍", "", "❤"), 1)),
    ],
    "two edits": [HELLO, *(later(minute, "edit", {"text": {"body": f"new {minute}"}}) for minute in (1, 2))],
    "an edit and a deletion": [HELLO, later(1, "edit", {"text": {"body": "new"}}), later(2, "revoke", {})],
    "a deletion before its message": [later(1, "revoke", {}), HELLO],
    "a deletion of what never comes": [later(1, "revoke", {}, of="elsewhere")],
    "votes": [POLL, *(later(minute, "poll_vote", {"options": ["Soup"][:minute]}, of="P") for minute in (1, 0))],
    "a pin": [HELLO, later(1, "pin", {"seconds": 60})],
    "what could be decrypted later": [UNREADABLE, replace(HELLO, wa_id="U")],
    "receipts": [receipt("delivered", "S"), receipt("read", "S"), receipt("delivered", "S")],
    "receipts of a group": [receipt(kind, "G", GROUP, CARLA) for kind in ("delivered", "read")],
    "what the owner read on the phone": [HELLO, ReadOnPhone(("A",), CHAT, NOON)],
}
TOLD = (Message, Chat, Reaction, PollVote, Revision, MemberReceipt, EarlyChange, DailyUsage, Event)


def everything() -> dict[type[models.Model], list[dict[str, Any]]]:
    return {model: list(model._default_manager.order_by("pk").values()) for model in TOLD}


@pytest.mark.parametrize("story", STORIES)
def test_what_is_told_twice_changes_nothing_the_second_time(
    write: Write, held: Instance, make_message: Callable[..., Message], story: str
) -> None:
    members = [{"phone": None, "lid": f"{lid}@lid", "admin": False} for lid in (666, 777)]
    Group.objects.create(instance=held, jid=GROUP, members=members, size=2, checked_at=timezone.now())
    make_message(held, status=Status.SENT, wa_id="S", chat=CHAT, sent_at=NOON)
    make_message(held, status=Status.SENT, wa_id="G", chat=GROUP, sent_at=NOON)
    before = everything()
    write(*STORIES[story])
    once = everything()
    assert once != before
    write(*STORIES[story])
    assert everything() == once
    for one in STORIES[story]:
        write(one)
    assert everything() == once

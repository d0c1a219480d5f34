from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from config.ids import first_id, new_id
from conftest import Person
from instances.models import Instance
from messaging import retention
from messaging.chats import touched
from messaging.models import Chat, Message
from messaging.states import UNFINISHED
from subscriptions.models import Plan

pytestmark = pytest.mark.django_db


@pytest.fixture
def old(make_message: Callable[..., Message]) -> Callable[..., str]:
    """Makes a message of so many days ago, in a chat."""

    def old(instance: Instance, days: float, **columns: Any) -> str:
        at = timezone.now() - timedelta(days=days)
        # The beginning of the id is the time; the rest as in any other.
        id_ = first_id(at, "msg")[:14] + new_id("msg")[14:]
        row = make_message(instance, **({"id": id_, "status": "sent", "created_at": at, "sent_at": at} | columns))
        touched([row])
        return row.id

    return old


@pytest.fixture
def thirty_days(db: None) -> None:
    Plan.objects.filter(pk="basic").update(message_retention_days=30)


def left() -> set[str]:
    return set(Message.objects.values_list("pk", flat=True))


def test_what_is_older_than_the_plan_says_is_deleted(
    thirty_days: None, instance: Instance, old: Callable[..., str]
) -> None:
    old(instance, 31)
    old(instance, 400, chat="15550100003@s.whatsapp.net")
    kept = old(instance, 29)
    assert retention.purge() is False
    assert left() == {kept}
    assert list(Chat.objects.values_list("jid", flat=True)) == ["15550100002@s.whatsapp.net"]


def test_without_a_limit_everything_stays(instance: Instance, old: Callable[..., str]) -> None:
    kept = old(instance, 4000)
    retention.purge()
    assert left() == {kept}


def test_what_waits_to_be_sent_stays(thirty_days: None, instance: Instance, old: Callable[..., str]) -> None:
    kept = {old(instance, 31, status=status) for status in UNFINISHED}
    old(instance, 32)
    retention.purge()
    assert left() == kept


def test_other_plans_are_not_concerned(
    thirty_days: None, instance: Instance, charlie: Person, make_instance: Any, old: Callable[..., str]
) -> None:
    charlie.client.patch("/api/subscription", {"plan": "pro"}, format="json")
    old(instance, 31)
    kept = old(make_instance(charlie), 31)
    retention.purge()
    assert left() == {kept}


def test_a_run_ends_in_time_and_says_that_there_is_more(
    thirty_days: None, instance: Instance, old: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_STEP", 2)
    for _ in range(5):
        old(instance, 31)
    assert retention.purge(seconds=0) is True
    assert len(left()) == 3
    assert retention.purge() is False
    assert left() == set()

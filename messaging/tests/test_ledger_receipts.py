"""Receipts come in any order, also before the message they are for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from django.utils import timezone

from config import metrics
from conftest import Person
from instances.models import Instance
from instances.whatsapp.news import Receipt
from messaging.models import EarlyReceipt, Message
from messaging.sending.ledger import Claim, Outcome
from messaging.states import Direction, Status
from messaging.tasks import prune
from messaging.tests.conftest import Write
from webhooks.models import Event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KINDS = ("delivered", "read", "played")
MakeMessage = Callable[..., Message]


def receipt(kind: str, *wa_ids: str) -> Receipt:
    return Receipt(wa_ids or ("3EB0A",), kind, NOON + timedelta(seconds=KINDS.index(kind)))


def types() -> list[str]:
    return [event.type for event in Event.objects.order_by("sequence")]


@pytest.fixture
def sent(held: Instance, make_message: MakeMessage) -> Message:
    return make_message(held, status=Status.SENT, wa_id="3EB0A", sent_at=NOON)


def test_receipts_in_their_order_are_reported_one_by_one(write: Write, sent: Message) -> None:
    write(*(receipt(kind) for kind in KINDS))
    sent.refresh_from_db()
    assert (sent.status, sent.delivered_at, sent.read_at) == (Status.PLAYED, NOON, NOON + timedelta(seconds=1))
    assert types() == ["message.delivered", "message.read", "message.played"]


@pytest.mark.parametrize("together", [True, False])
def test_a_status_never_moves_back(write: Write, held: Instance, make_message: MakeMessage, together: bool) -> None:
    orders = [*permutations(KINDS), ("read", "delivered"), ("read", "read", "delivered", "read")]
    for number, kinds in enumerate(orders):
        row, news = make_message(held, status=Status.SENT, wa_id=str(number)), []
        for kind in kinds:
            news.append(receipt(kind, str(number)))
            if not together:
                write(news.pop())
        write(*news)
        row.refresh_from_db()
        assert row.status == max(kinds, key=KINDS.index)
        assert row.delivered_at is not None
        assert row.read_at is not None
        events = Event.objects.filter(data__wa_id=str(number)).order_by("sequence")
        told = [KINDS.index(event.type.removeprefix("message.")) for event in events]
        assert told == sorted(set(told))


def test_one_receipt_may_be_for_many_messages(write: Write, held: Instance, make_message: MakeMessage) -> None:
    for wa_id in "ABC":
        make_message(held, status=Status.SENT, wa_id=wa_id)
    write(receipt("read", "A", "C", "Z"))
    rows = Message.objects.order_by("id").values_list("wa_id", "status")
    assert list(rows) == [("A", "read"), ("B", "sent"), ("C", "read")]
    assert EarlyReceipt.objects.get().wa_id == "Z"


def test_a_receipt_is_for_the_messages_of_its_own_number(
    write: Write,
    sent: Message,
    alice: Person,
    make_instance: Callable[..., Instance],
    hold: Callable[[Instance], Instance],
    make_message: MakeMessage,
) -> None:
    other = make_message(hold(make_instance(alice)), status=Status.SENT, wa_id="3EB0A")
    write(receipt("read"), instance=other.instance)
    assert Message.objects.get(pk=sent.pk).status == Status.SENT
    assert Message.objects.get(pk=other.pk).status == Status.READ


def test_an_inbound_message_of_the_same_id_takes_no_receipt(
    write: Write, held: Instance, make_message: MakeMessage
) -> None:
    row = make_message(held, direction=Direction.INBOUND, status=Status.RECEIVED, wa_id="3EB0A")
    write(receipt("read"))
    assert Message.objects.get(pk=row.pk).status == Status.RECEIVED


@pytest.mark.parametrize("together", [True, False])
def test_an_early_receipt_is_applied_when_the_id_arrives(
    write: Write, held: Instance, make_message: MakeMessage, together: bool
) -> None:
    row = make_message(held)
    write(Claim(1))
    news = [receipt("delivered"), receipt("read"), Outcome(row.id, Status.SENT, "3EB0A", NOON)]
    if together:
        write(*news)
    else:
        for one in news:
            write(one)
    row.refresh_from_db()
    assert (row.status, row.delivered_at, row.read_at) == (Status.READ, NOON, NOON + timedelta(seconds=1))
    assert types() == ["message.sent", "message.delivered", "message.read"]
    assert not EarlyReceipt.objects.exists()


def test_what_was_sent_is_counted_as_sent_though_its_receipt_came_early(
    write: Write, held: Instance, make_message: MakeMessage, django_capture_on_commit_callbacks: Any
) -> None:
    row = make_message(held)
    write(Claim(1))
    counted = metrics.MESSAGES.value("outbound", "text", "sent")
    with django_capture_on_commit_callbacks(execute=True):
        write(receipt("delivered"), Outcome(row.id, Status.SENT, "3EB0A", NOON))
    assert metrics.MESSAGES.value("outbound", "text", "sent") == counted + 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_receipt_settles_a_doubt(write: Write, held: Instance, make_message: MakeMessage, kind: str) -> None:
    row = make_message(held, status=Status.UNCONFIRMED, wa_id="3EB0A", error_code="worker_lost")
    write(receipt(kind))
    row.refresh_from_db()
    assert (row.status, row.sent_at) == (kind, receipt(kind).at)
    assert types() == [f"message.{kind}"]


def test_an_early_receipt_settles_a_doubt_too(write: Write, held: Instance, make_message: MakeMessage) -> None:
    row = make_message(held)
    write(Claim(1), receipt("delivered"), Outcome(row.id, Status.UNCONFIRMED, "3EB0A"))
    assert Message.objects.get().status == Status.DELIVERED
    assert types() == ["message.unconfirmed", "message.delivered"]


def test_receipts_that_nobody_claims_are_dropped_after_a_day(write: Write, held: Instance) -> None:
    write(receipt("delivered", "OLD"), receipt("delivered", "NEW"))
    EarlyReceipt.objects.filter(wa_id="OLD").update(created_at=timezone.now() - timedelta(hours=25))
    prune()
    assert EarlyReceipt.objects.get().wa_id == "NEW"

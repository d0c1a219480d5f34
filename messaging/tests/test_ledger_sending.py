"""The ledger of what goes out: claims and outcomes, written through the real writer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Person
from instances.holding.writer import LeaseLost, Writer
from instances.models import Instance
from messaging.models import Message
from messaging.sending.ledger import MAX_ATTEMPTS, Claim, Outcome, PutBack
from messaging.states import Status
from messaging.tests.conftest import Write
from webhooks.models import Event

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
MakeMessage = Callable[..., Message]


def statuses() -> list[str]:
    return list(Message.objects.order_by("id").values_list("status", flat=True))


def types() -> list[str]:
    return [event.type for event in Event.objects.order_by("sequence")]


def test_a_claim_takes_the_oldest_in_their_order(write: Write, held: Instance, make_message: MakeMessage) -> None:
    rows = [make_message(held) for _ in range(5)]
    (first,) = write(Claim(3))
    assert [row.id for row in first.messages] == [row.id for row in rows[:3]]
    assert statuses() == ["sending"] * 3 + ["queued"] * 2
    second, third = write(Claim(3), Claim(3))
    assert [row.id for row in second.messages] == [row.id for row in rows[3:]]
    assert third.messages == []
    assert [first.more, second.more, third.more] == [True, False, False]
    assert set(Message.objects.values_list("attempts", flat=True)) == {1}


def test_a_claim_takes_what_is_queued_for_its_own_number(
    write: Write,
    held: Instance,
    alice: Person,
    make_instance: Callable[..., Instance],
    hold: Callable[[Instance], Instance],
    make_message: MakeMessage,
) -> None:
    other = hold(make_instance(alice))
    for status in Status.values:
        make_message(held, status=status, chat=f"{status}@g.us")
    theirs = make_message(other)
    assert len(write(Claim(20))[0].messages) == 1
    assert [row.id for row in write(Claim(20), instance=other)[0].messages] == [theirs.id]


def test_a_claim_leaves_what_is_not_due(write: Write, held: Instance, make_message: MakeMessage) -> None:
    now = timezone.now()
    later = make_message(held, not_before=now + timedelta(hours=1))
    behind = make_message(held)
    due = make_message(held, chat="15550100003@s.whatsapp.net", not_before=now - timedelta(seconds=1))
    assert [row.id for row in write(Claim(20))[0].messages] == [due.id]
    Message.objects.filter(pk=later.id).update(not_before=now)
    assert [row.id for row in write(Claim(20))[0].messages] == [later.id, behind.id]


@pytest.mark.parametrize("status", [Status.PREPARING, Status.HELD])
def test_in_a_chat_nothing_overtakes_what_is_not_ready(
    write: Write, held: Instance, make_message: MakeMessage, status: str
) -> None:
    before, first, behind = make_message(held), make_message(held, status=status), make_message(held)
    elsewhere = make_message(held, chat="15550100003@s.whatsapp.net")
    assert [row.id for row in write(Claim(20))[0].messages] == [before.id, elsewhere.id]
    Message.objects.filter(pk=first.id).update(status=Status.CANCELLED)
    assert [row.id for row in write(Claim(20))[0].messages] == [behind.id]


def test_what_is_cancelled_while_it_is_claimed_is_either(
    running_writer: Writer, held: Instance, make_message: MakeMessage
) -> None:
    rows: list[Any] = [make_message(held) for _ in range(100)]
    claims = [running_writer.submit(held.id, 1, Claim(10)) for _ in range(10)]
    queued = Message.objects.filter(status=Status.QUEUED)
    cancelled = {row.id for row in rows if queued.filter(pk=row.id).update(status=Status.CANCELLED)}
    claimed = {row.id for claim in claims for row in claim.result(20).messages}
    assert not cancelled & claimed
    assert set(Message.objects.filter(status=Status.SENDING).values_list("id", flat=True)) == claimed


def test_a_worker_that_lost_the_number_claims_nothing(
    running_writer: Writer, held: Instance, make_message: MakeMessage
) -> None:
    make_message(held)
    with pytest.raises(LeaseLost):
        running_writer.submit(held.id, 0, Claim(1)).result(20)
    assert statuses() == ["queued"]


def test_what_was_not_begun_is_put_back(write: Write, held: Instance, make_message: MakeMessage) -> None:
    rows = [make_message(held) for _ in range(3)]
    write(Claim(3), PutBack((rows[1].id, rows[2].id)))
    assert statuses() == ["sending", "queued", "queued"]
    assert list(Message.objects.order_by("id").values_list("attempts", flat=True)) == [1, 0, 0]
    assert [row.id for row in write(Claim(3))[0].messages] == [rows[1].id, rows[2].id]


def test_what_has_an_outcome_already_is_not_put_back(write: Write, held: Instance, make_message: MakeMessage) -> None:
    row = make_message(held)
    write(Claim(1), Outcome(row.id, Status.SENT, "3EB0A", AT), PutBack((row.id,)))
    assert statuses() == ["sent"]


def test_an_acknowledged_message_is_sent(write: Write, held: Instance, make_message: MakeMessage) -> None:
    row = make_message(held, client_ref="order 7")
    write(Claim(1), Outcome(row.id, Status.SENT, "3EB0A", AT))
    row.refresh_from_db()
    assert (row.status, row.wa_id, row.sent_at, row.error_code) == (Status.SENT, "3EB0A", AT, None)
    event = Event.objects.get()
    assert (event.type, event.instance_id) == ("message.sent", held.id)
    assert event.data.items() >= {"id": row.id, "status": "sent", "wa_id": "3EB0A", "client_ref": "order 7"}.items()
    assert event.data["sent_at"] == "2026-11-23T12:00:00.000Z"


def test_a_refused_message_has_failed_and_says_why(write: Write, held: Instance, make_message: MakeMessage) -> None:
    row = make_message(held)
    refused = {"error_code": "not_on_whatsapp", "error_detail": "The recipient is not on WhatsApp."}
    write(Claim(1), Outcome(row.id, Status.FAILED, **refused))  # type: ignore[arg-type]
    assert statuses() == ["failed"]
    event = Event.objects.get()
    assert event.type == "message.failed"
    words = {"code": "not_on_whatsapp", "detail": "The recipient is not on WhatsApp.", "retryable": False}
    assert event.data["error"] == words


def test_a_message_in_doubt_keeps_its_id(write: Write, held: Instance, make_message: MakeMessage) -> None:
    row = make_message(held)
    write(Claim(1), Outcome(row.id, Status.UNCONFIRMED, "3EB0A", error_code="no_acknowledgement"))
    row.refresh_from_db()
    assert (row.status, row.wa_id, row.sent_at) == (Status.UNCONFIRMED, "3EB0A", None)
    assert types() == ["message.unconfirmed"]


def test_a_message_that_has_not_left_is_queued_again_and_nobody_is_told(
    write: Write, held: Instance, make_message: MakeMessage
) -> None:
    row, younger = make_message(held), make_message(held)
    write(Claim(1), Outcome(row.id, Status.QUEUED, error_code="offline"))
    assert statuses() == ["queued", "queued"]
    assert types() == []
    assert [row.id for row in write(Claim(2))[0].messages] == [row.id, younger.id]


def test_being_offline_is_no_attempt(write: Write, held: Instance, make_message: MakeMessage) -> None:
    row = make_message(held)
    for _ in range(MAX_ATTEMPTS + 1):
        write(Claim(1), Outcome(row.id, Status.QUEUED, error_code="offline"))
    assert Message.objects.values_list("status", "attempts").get() == ("queued", 0)


def test_a_message_is_given_up_after_many_attempts(write: Write, held: Instance, make_message: MakeMessage) -> None:
    row = make_message(held, attempts=MAX_ATTEMPTS - 2)
    again = Outcome(row.id, Status.QUEUED, error_code="no_answer", error_detail="WhatsApp did not answer.")
    write(Claim(1), again)
    assert statuses() == ["queued"]
    Message.objects.update(not_before=None)
    write(Claim(1), again)
    assert statuses() == ["failed"]
    assert Event.objects.get().data["error"]["code"] == "no_answer"


def test_an_outcome_that_comes_late_changes_nothing(write: Write, held: Instance, make_message: MakeMessage) -> None:
    for already in (Status.DELIVERED, Status.READ, Status.FAILED):
        row = make_message(held, status=already, wa_id=already)
        for status in (Status.SENT, Status.FAILED, Status.UNCONFIRMED, Status.QUEUED):
            write(Outcome(row.id, status, "NEW", AT))
            row.refresh_from_db()
            assert (row.status, row.wa_id) == (already, already)
    assert types() == []


def test_an_outcome_of_a_message_that_was_deleted_is_passed_over(write: Write, make_message: MakeMessage) -> None:
    write(Outcome("msg_01h455vb4pex5vsknk084sn02q", Status.SENT, "3EB0A", AT))
    assert types() == []


def test_outcomes_of_one_group_are_reported_in_order(write: Write, held: Instance, make_message: MakeMessage) -> None:
    rows: list[Any] = [make_message(held) for _ in range(10)]
    write(Claim(10), *(Outcome(row.id, Status.SENT, f"3EB0{n}", AT) for n, row in enumerate(rows)))
    events = list(Event.objects.order_by("sequence"))
    assert [event.sequence for event in events] == list(range(1, 11))
    assert [event.data["id"] for event in events] == [row.id for row in rows]

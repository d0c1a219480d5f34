"""Existence, new contacts and cold holds, as a lane meets them: with the real writer and a number that is faked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Person, assert_problem, wait_for
from instances.holding.writer import Writer
from instances.models import Instance
from instances.whatsapp.failures import Failure, failure_of
from instances.whatsapp.jids import parse
from instances.whatsapp.news import Inbound
from instances.whatsapp.news import Person as Somebody
from messaging.models import Contact, Message, SendingState
from messaging.sending import directory, holds
from messaging.sending.ledger import HANDLERS, Claim, Outcome
from messaging.sending.policy import Policy
from messaging.tests.conftest import FakeHeld
from subscriptions.models import Meter
from webhooks.models import Event

MakeMessage = Callable[..., Message]
REFUSED = failure_of("server returned error 463")
CARLA, DORA = "15550100002@s.whatsapp.net", "15550100003@s.whatsapp.net"


class Number:
    """A lane without a network: claims, has the policy judge, and ends what passes."""

    def __init__(self, held: FakeHeld) -> None:
        self.held, self.policy = held, Policy(held)  # type: ignore[arg-type]

    def admitted(self) -> list[str]:
        """What may be sent of all that is queued."""
        self.policy.ready()
        return [row.chat for row in self._claim()]

    def _claim(self) -> list[Message]:
        return self.policy.admitted(self.held.write(Claim(20)).result(20).messages)

    def run(self, refusal: Failure | None = None) -> list[tuple[str, str]]:
        """Send all that may be sent, or have WhatsApp refuse it; returns chat and status of what was begun."""
        ended = []
        self.policy.ready()
        while rows := self._claim():
            row = rows[0]
            if rows[1:]:
                Message.objects.filter(pk__in=[other.pk for other in rows[1:]]).update(status="queued")
            outcome = Outcome(row.pk, "sent", f"wa{row.pk}", timezone.now())
            if refusal is not None:
                failure = self.policy.judged(row, refusal)
                status = "held" if failure.outcome == "hold" else "failed"
                outcome = Outcome(row.pk, status, error_code=failure.code, error_detail=failure.detail)
            self.held.write(outcome).result(20)
            self.policy.recorded(row, outcome)
            ended.append((row.chat, outcome.status))
            self.policy.ready()
        return ended


@pytest.fixture
def fake(running_writer: Writer, held: Instance) -> FakeHeld:
    from instances.holding import writer

    writer.handlers.update(HANDLERS | directory.HANDLERS)
    return FakeHeld(held, lambda value: running_writer.submit(held.id, 1, value))


@pytest.fixture
def number(fake: FakeHeld) -> Number:
    return Number(fake)


def statuses() -> list[str]:
    return list(Message.objects.filter(direction="outbound").order_by("id").values_list("status", flat=True))


def types() -> list[str]:
    return [event.type for event in Event.objects.order_by("sequence")]


def inbound(chat: str) -> Inbound:
    return Inbound(
        "in1", chat, None, Somebody(chat.partition("@")[0], None), False, timezone.now(), "text", {"body": "Hi"}
    )


def settings(instance: Instance, **change: Any) -> None:
    Instance.objects.filter(pk=instance.pk).update(settings=change)


def over(instance: Instance) -> None:
    """The hold's time is up."""
    SendingState.objects.update(cold_until=timezone.now() - timedelta(seconds=1))


def test_a_number_is_asked_about_once(number: Number, held: Instance, make_message: MakeMessage) -> None:
    number.held.directory = {"15550100002": parse("777@lid")}
    for _ in range(2):
        make_message(held, chat=CARLA)
        make_message(held, chat=DORA)
    number.run()
    make_message(held, chat=CARLA)
    number.run()
    assert number.held.asked == [["15550100002", "15550100003"]]
    wait_for(lambda: Contact.objects.filter(on_whatsapp=True, met_at__isnull=False).count() == 2)
    assert Contact.objects.get(phone="15550100002").lid == "777@lid"
    another = Number(number.held)
    make_message(held, chat=CARLA)
    assert another.admitted() == [CARLA]
    assert len(number.held.asked) == 1


def test_who_is_not_on_whatsapp_gets_nothing_and_it_is_said(
    number: Number, held: Instance, make_message: MakeMessage
) -> None:
    number.held.directory = {"15550100003": None}
    make_message(held, chat=DORA)
    make_message(held, chat=CARLA)
    assert number.run() == [(CARLA, "sent")]
    failed = Message.objects.get(status="failed")
    assert (failed.error_code, failed.attempts) == ("not_on_whatsapp", 1)
    assert "message.failed" in types()
    make_message(held, chat=DORA)
    assert Number(number.held).admitted() == []
    assert len(number.held.asked) == 1
    Contact.objects.update(checked_at=timezone.now() - timedelta(days=1, minutes=1))
    number.held.directory = {}
    make_message(held, chat=DORA)
    assert Number(number.held).admitted() == [DORA]


def test_no_answer_fails_no_message(number: Number, held: Instance, make_message: MakeMessage) -> None:
    number.held.error = "info query timed out"
    make_message(held, chat=CARLA)
    make_message(held, chat=DORA)
    assert number.run() == [(CARLA, "sent"), (DORA, "sent")]
    assert len(number.held.asked) == 1
    assert not Contact.objects.filter(on_whatsapp__isnull=False).exists()


@pytest.mark.parametrize("chat", ["777@lid", "120363000000000001@g.us", "status@broadcast", "1@newsletter"])
def test_only_phone_numbers_are_asked_about(
    number: Number, held: Instance, make_message: MakeMessage, chat: str
) -> None:
    make_message(held, chat=chat)
    assert number.run() == [(chat, "sent")]
    settings(held, check_recipients=False)
    make_message(held, chat=CARLA)
    assert Number(number.held).admitted() == [CARLA]
    assert number.held.asked == []


def test_a_day_has_so_many_new_contacts(number: Number, held: Instance, make_message: MakeMessage) -> None:
    settings(held, pacing={"new_contacts_per_day": 2})
    make_message(held, chat=DORA, direction="inbound", status="received")
    chats = [f"1555020000{n}@s.whatsapp.net" for n in range(4)]
    rows = [make_message(held, chat=chat) for chat in (chats[0], *chats, DORA, chats[3])]
    assert [chat for chat, _ in number.run()] == [chats[0], chats[0], chats[1], DORA]
    waiting = Message.objects.filter(status="queued")
    assert set(waiting.values_list("chat", flat=True)) == {chats[2], chats[3]}
    assert all(row.not_before > timezone.now() and row.attempts == 0 for row in waiting)  # type: ignore[operator]
    assert len(rows) == 7
    another = Number(number.held)
    make_message(held, chat=chats[2])
    assert another.admitted() == []
    settings(held, pacing={"new_contacts_per_day": 3})
    another.policy.nudge()
    assert [chat for chat, _ in another.run()] == [chats[2], chats[2]]
    SendingState.objects.update(new_contacts_day=timezone.now().date() - timedelta(days=1))
    Message.objects.filter(status="queued").update(not_before=None)
    assert [chat for chat, _ in Number(number.held).run()] == [chats[3]] * 2


def test_a_refusal_holds_cold_messages_and_no_others(
    number: Number, held: Instance, alice: Person, make_message: MakeMessage
) -> None:
    make_message(held, chat=CARLA, direction="inbound", status="received")
    cold = [make_message(held, chat=DORA), make_message(held, chat=DORA)]
    stranger = make_message(held, chat="15550100001@s.whatsapp.net")
    assert number.run(REFUSED) == [(DORA, "held")]
    assert statuses() == ["held"] * 3
    make_message(held, chat=CARLA)
    make_message(held, chat="120363000000000001@g.us")
    assert [chat for chat, _ in number.run()] == [CARLA, "120363000000000001@g.us"]
    shown = alice.client.get(f"/api/instances/{held.id}").json()["cold_hold"]
    assert shown["waiting"] == 3
    assert types().count("message.held") == 3
    assert types().count("instance.cold_hold") == 1
    assert Number(number.held).admitted() == []  # another worker knows it as well
    assert {cold[0].pk, cold[1].pk, stranger.pk} == set(
        Message.objects.filter(status="held").values_list("pk", flat=True)
    )


def test_a_refusal_of_somebody_known_is_a_failure(number: Number, held: Instance, make_message: MakeMessage) -> None:
    make_message(held, chat=CARLA, direction="inbound", status="received")
    make_message(held, chat=CARLA)
    assert number.run(REFUSED) == [(CARLA, "failed")]
    assert "instance.cold_hold" not in types()


def test_one_message_finds_out_whether_the_hold_is_over(
    number: Number, held: Instance, make_message: MakeMessage
) -> None:
    settings(held, cold_contacts={"first_hold_seconds": 100, "longest_hold_seconds": 300})
    for n in range(3):
        make_message(held, chat=f"1555010000{n}@s.whatsapp.net")
    lengths = []
    for _ in range(4):
        assert number.run(REFUSED) == [("15550100000@s.whatsapp.net", "held")]
        lengths.append(SendingState.objects.get().cold_seconds)
        assert statuses() == ["held"] * 3
        over(held)
        number = Number(number.held)
    assert lengths == [100, 200, 300, 300]
    assert number.run() == [(f"1555010000{n}@s.whatsapp.net", "sent") for n in range(3)]
    assert types().count("instance.cold_hold_ended") == 1
    assert SendingState.objects.get().cold_since is None
    make_message(held, chat=DORA)
    assert number.run(REFUSED) == [(DORA, "held")]
    assert SendingState.objects.get().cold_seconds == 100


def resume(person: Person, instance: Instance) -> Any:
    answer = person.client.post(f"/api/instances/{instance.id}/cold-hold/resume")
    assert answer.status_code == 202, answer.content
    return answer.json()["cold_hold"]


def test_the_owner_can_have_a_held_message_tried_at_once(
    alice: Person, charlie: Person, number: Number, held: Instance, make_message: MakeMessage
) -> None:
    assert resume(alice, held) is None
    for n in range(3):
        make_message(held, chat=f"1555010000{n}@s.whatsapp.net")
    number.run(REFUSED)
    assert number.run() == []
    assert_problem(charlie.client.post(f"/api/instances/{held.id}/cold-hold/resume"), 404, "not_found")
    assert resume(alice, held)["waiting"] == 3
    number.policy.nudge()
    assert number.run() == [(f"1555010000{n}@s.whatsapp.net", "sent") for n in range(3)]
    assert types().count("instance.cold_hold_ended") == 1
    assert resume(alice, held) is None


def test_a_hold_of_nothing_is_over_when_the_owner_says_so(
    alice: Person, number: Number, held: Instance, make_message: MakeMessage
) -> None:
    make_message(held, chat=DORA)
    number.run(REFUSED)
    Message.objects.update(status="cancelled")
    assert resume(alice, held) is None
    assert types().count("instance.cold_hold_ended") == 1
    number.policy.nudge()
    make_message(held, chat=DORA)
    assert number.run() == [(DORA, "sent")]


def test_a_first_message_after_the_hold_finds_out_as_well(
    number: Number, held: Instance, make_message: MakeMessage
) -> None:
    make_message(held, chat=DORA)
    number.run(REFUSED)
    Message.objects.update(status="cancelled")
    over(held)
    for n in range(3):
        make_message(held, chat=f"1555010000{n}@s.whatsapp.net")
    assert len(Number(number.held).run()) == 3
    assert "instance.cold_hold_ended" in types()


def test_who_writes_gets_what_was_held_for_them(number: Number, held: Instance, make_message: MakeMessage) -> None:
    make_message(held, chat=DORA)
    make_message(held, chat="15550100001@s.whatsapp.net")
    number.run(REFUSED)
    make_message(held, chat=DORA, direction="inbound", status="received")
    number.policy.seen(inbound(DORA))
    assert number.run() == [(DORA, "sent")]
    assert statuses() == ["sent", "held"]


@pytest.mark.django_db
def test_what_was_held_for_too_long_fails_and_does_not_count(
    alice: Person, instance: Instance, make_message: MakeMessage
) -> None:
    body = {"instance": instance.id, "to": "15550100002", "text": {"body": "hello"}}
    old = alice.client.post("/api/messages", body, format="json").json()["id"]
    Message.objects.update(status="held", created_at=timezone.now() - timedelta(days=7, seconds=1))
    make_message(instance, status="held")
    Meter.objects.update(starts_at=timezone.now() - timedelta(days=20))
    assert (holds.expire(), holds.expire()) == (1, 0)
    assert Message.objects.get(pk=old).status == "failed"
    assert statuses() == ["failed", "held"]
    assert Meter.objects.get(network="sandbox").used == 0


def test_an_attempt_that_failed_waits_longer_each_time_and_is_not_overtaken(
    number: Number, held: Instance, make_message: MakeMessage
) -> None:
    row = make_message(held, chat=CARLA)
    make_message(held, chat=CARLA)
    make_message(held, chat=DORA)
    pauses = []
    for _ in range(3):
        assert number.admitted()[:1] == [CARLA]
        number.held.write(Outcome(row.pk, "queued", error_code="no_answer")).result(20)
        row.refresh_from_db()
        pauses.append((row.not_before - timezone.now()).total_seconds())  # type: ignore[operator]
        Message.objects.filter(status="sending").update(status="queued")
        assert CARLA not in number.admitted()
        Message.objects.update(status="queued")
        Message.objects.filter(pk=row.pk).update(not_before=timezone.now())
    assert pauses == pytest.approx([0.5, 2, 8], abs=0.4)


def test_nothing_of_a_chat_goes_before_what_is_prepared_for_it(
    number: Number, held: Instance, make_message: MakeMessage
) -> None:
    make_message(held, chat=CARLA)
    make_message(held, chat=CARLA, status="preparing")
    make_message(held, chat=CARLA)
    make_message(held, chat=DORA)
    assert number.run() == [(CARLA, "sent"), (DORA, "sent")]
    Message.objects.filter(status="preparing").update(status="queued")
    assert number.run() == [(CARLA, "sent"), (CARLA, "sent")]


def test_what_was_not_confirmed_is_sent_again_when_the_user_wants_it(
    number: Number, held: Instance, make_message: MakeMessage
) -> None:
    row = make_message(held, chat=CARLA)
    number.admitted()
    number.held.write(Outcome(row.pk, "unconfirmed", "3EB0A", error_code="no_acknowledgement")).result(20)
    assert statuses() == ["unconfirmed"]
    settings(held, resend_unconfirmed=True)
    again = make_message(held, chat=CARLA)
    number.admitted()
    number.held.write(Outcome(again.pk, "unconfirmed", "3EB0B", error_code="no_acknowledgement")).result(20)
    assert statuses() == ["unconfirmed", "queued"]
    before, secret = again.not_before, bytes(again.secret)
    again.refresh_from_db()
    assert before is None
    assert again.not_before is not None
    assert (again.wa_id, bytes(again.secret) != secret) == (None, True)

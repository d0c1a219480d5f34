"""A message to a group has come as far as all of its members."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conftest import Person as Actor
from instances.holding.writer import Item
from instances.models import Instance
from instances.whatsapp.news import Person, Receipt, Typing
from messaging.models import Contact, Group, MemberReceipt, Message
from messaging.receiving import people, settling
from messaging.receiving.receipts import receipts
from messaging.sending.ledger import Claim, Outcome
from messaging.states import Status
from messaging.tests.conftest import Write
from webhooks.models import Event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
GROUP = "120363000000000001@g.us"
CARLA, DANA = Person("15550100002", "777@lid"), Person(None, "888@lid")
MakeMessage = Callable[..., Message]


def receipt(kind: str, member: Person, *, minute: int = 0, wa_id: str = "A") -> Receipt:
    return Receipt((wa_id,), kind, NOON + timedelta(minutes=minute), GROUP, member)


@pytest.fixture
def known(held: Instance) -> Group:
    """A group of three, us included."""
    members = [{"phone": None, "lid": f"{lid}@lid", "admin": False} for lid in (666, 777, 888)]
    return Group.objects.create(instance=held, jid=GROUP, members=members, size=3, checked_at=timezone.now())


@pytest.fixture
def sent(held: Instance, make_message: MakeMessage) -> Message:
    return make_message(held, status=Status.SENT, wa_id="A", chat=GROUP, sent_at=NOON)


def types() -> list[str]:
    return [event.type for event in Event.objects.order_by("sequence")]


def test_it_is_delivered_when_the_last_member_has_it(write: Write, alice: Actor, known: Group, sent: Message) -> None:
    write(receipt("delivered", CARLA))
    sent.refresh_from_db()
    assert sent.status == Status.SENT
    write(receipt("read", CARLA, minute=1), receipt("delivered", DANA, minute=2))
    sent.refresh_from_db()
    assert (sent.status, sent.delivered_at) == (Status.DELIVERED, NOON + timedelta(minutes=2))
    assert types() == ["message.receipt", "message.receipt", "message.receipt", "message.delivered"]
    found = alice.client.get(f"/api/messages/{sent.pk}").json()
    assert found["receipt_counts"] == {"delivered": 2, "read": 1, "played": 0}
    assert [one["member"]["lid"] for one in found["receipts"]] == ["777@lid", "888@lid"]
    write(receipt("played", DANA, minute=3), receipt("played", CARLA, minute=4))
    sent.refresh_from_db()
    assert (sent.status, sent.played_at) == (Status.PLAYED, NOON + timedelta(minutes=4))


def test_a_receipt_that_comes_twice_is_told_once(write: Write, known: Group, sent: Message) -> None:
    write(receipt("read", CARLA), receipt("read", CARLA), receipt("delivered", CARLA))
    assert types() == ["message.receipt"]
    assert MemberReceipt.objects.get().read_at == NOON


def test_a_group_that_is_not_known_is_asked_for_and_settled_later(write: Write, held: Instance, sent: Message) -> None:
    write(receipt("delivered", CARLA), receipt("delivered", DANA))
    sent.refresh_from_db()
    assert sent.status == Status.SENT
    Group.objects.filter(jid=GROUP, checked_at=None).update(size=3, checked_at=timezone.now())
    settling.settle(held, GROUP)
    sent.refresh_from_db()
    assert sent.status == Status.DELIVERED
    assert types()[-1] == "message.delivered"


def test_a_receipt_of_one_member_settles_a_doubt(
    write: Write, held: Instance, known: Group, make_message: MakeMessage
) -> None:
    row = make_message(held, status=Status.UNCONFIRMED, wa_id="A", chat=GROUP)
    write(receipt("delivered", CARLA))
    row.refresh_from_db()
    assert (row.status, row.sent_at) == (Status.SENT, NOON)


def test_receipts_may_overtake_the_acknowledgement(
    write: Write, held: Instance, known: Group, make_message: MakeMessage
) -> None:
    row = make_message(held, chat=GROUP)
    write(Claim(1))
    write(receipt("delivered", CARLA), receipt("delivered", DANA))
    write(Outcome(row.pk, Status.SENT, "A", NOON))
    row.refresh_from_db()
    assert row.status == Status.DELIVERED


@pytest.mark.django_db
@pytest.mark.parametrize("group", [True, False])
def test_a_group_of_receipts_costs_few_statements(instance: Instance, make_message: MakeMessage, group: bool) -> None:
    Group.objects.create(instance=instance, jid=GROUP, size=3, checked_at=timezone.now())
    chat = GROUP if group else "15550100002@s.whatsapp.net"
    for n in range(50):
        make_message(instance, status=Status.SENT, wa_id=f"W{n}", chat=chat)
    one = [Receipt((f"W{n}",), "delivered", NOON, chat, CARLA if group else None) for n in range(50)]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        receipts([Item(instance.pk, 1, value) for value in one], {instance.pk: instance})
    assert len(queries) <= (6 if group else 2)


def test_typing_is_an_event_and_nothing_else(write: Write) -> None:
    write(Typing("15550100002@s.whatsapp.net", "777@lid", CARLA, "composing"), Typing(GROUP, None, DANA, "recording"))
    first, second = Event.objects.order_by("sequence")
    assert (first.type, first.data["chat"]["phone"], first.data["state"]) == (
        "chat.presence", "15550100002", "composing",
    )  # fmt: skip
    assert (second.data["chat"]["id"], second.data["from"]["lid"]) == (GROUP, "888@lid")
    assert not Message.objects.exists()


# --- who is who -------------------------------------------------------------------------------


def contacts() -> list[tuple[Any, ...]]:
    return sorted(Contact.objects.values_list("phone", "lid", "name"), key=str)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_phone_and_lid_of_one_person_become_one_contact(held: Instance, order: tuple[int, ...]) -> None:
    seen = [Person("15550100002", None, "Carla"), Person(None, "777@lid"), Person("15550100002", "777@lid", "Carla")]
    for place in order:
        people.met([(held.pk, seen[place])])
    assert contacts() == [("15550100002", "777@lid", "Carla")]


def test_a_name_is_kept_until_there_is_another(held: Instance) -> None:
    people.met([(held.pk, Person("15550100002", "777@lid", "Carla")), (held.pk, Person("15550100002", "777@lid"))])
    people.met([(held.pk, Person("15550100002", "777@lid", "Carlotta"))])
    assert contacts() == [("15550100002", "777@lid", "Carlotta")]


def test_a_lid_can_go_over_to_another_number(held: Instance) -> None:
    people.met([(held.pk, Person("15550100002", "777@lid"))])
    people.met([(held.pk, Person("15550100003", None))])
    people.met([(held.pk, Person("15550100003", "777@lid"))])
    assert contacts() == [("15550100002", None, ""), ("15550100003", "777@lid", "")]

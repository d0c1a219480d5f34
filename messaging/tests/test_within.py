"""What a caller writes with the messages it sends: committed together, or not at all."""

from __future__ import annotations

import pytest

from accounts.models import Organization
from config.api.idempotency import Answer
from conftest import Person
from instances.models import Instance
from instances.whatsapp.jids import Jid
from messaging import services
from messaging.accepting.orders import Outgoing, Verdict
from messaging.models import Message
from messaging.tests.test_quota import used

pytestmark = pytest.mark.django_db


def _answer(verdicts: list[Verdict]) -> Answer:
    return Answer(202, None)


def test_the_caller_learns_the_ids_in_the_transaction_of_the_messages(alice: Person, instance: Instance) -> None:
    seen: list[str] = []

    def within(verdicts: list[Verdict]) -> None:
        seen.extend(verdict["id"] for verdict in verdicts if isinstance(verdict, dict))

    one = Outgoing(instance.id, Jid("15550100002"), "text", {"body": "Hello"}, None)
    services.accept(actor=alice.actor, outgoing=[one, one], answer_of=_answer, within=within)
    assert set(seen) == set(Message.objects.values_list("pk", flat=True))
    assert len(seen) == 2


def test_what_fails_within_undoes_the_messages_and_gives_the_quota_back(alice: Person, instance: Instance) -> None:
    def within(verdicts: list[Verdict]) -> None:
        Organization.objects.filter(pk=alice.organization.pk).update(name="Renamed")
        raise LookupError("somebody was faster")

    one = Outgoing(instance.id, Jid("15550100002"), "text", {"body": "Hello"}, None)
    with pytest.raises(LookupError):
        services.accept(actor=alice.actor, outgoing=[one], answer_of=_answer, within=within)
    assert Message.objects.count() == used(alice) == 0
    alice.organization.refresh_from_db()
    assert alice.organization.name != "Renamed"

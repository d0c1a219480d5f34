from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Person, assert_problem
from instances import commands, removal
from instances.models import Instance
from instances.services import update
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.jids import Jid
from instances.whatsapp.news import CallOver, IncomingCall
from instances.whatsapp.news import Person as Somebody
from messaging.calls import services
from messaging.calls.live import Calls, reject, settle
from messaging.calls.models import Call
from messaging.calls.tests.conftest import Ringing
from messaging.contacts.selectors import everything, somebody
from messaging.contacts.services import erase, go_on
from messaging.models import Contact, Message
from webhooks.models import Event

CARLA = Somebody("15559990002", "777@lid")
PLEASE = {"calls": {"reject": True, "text": "Please write."}}


def offer(wa_id: str = "C1", **changes: Any) -> IncomingCall:
    return replace(IncomingCall(wa_id, CARLA, "777@lid", timezone.now()), **changes)


def rung(number: Ringing, news: IncomingCall) -> None:
    """What the worker does about a call, to the end."""
    if call_id := number.write(news).result(20):
        settle(number, call_id)  # type: ignore[arg-type]


def told() -> list[tuple[str, str, str | None]]:
    rows = Event.objects.filter(type__startswith="call.").order_by("sequence")
    return [(row.type, row.data["status"], row.data["reason"]) for row in rows]


def texts() -> list[str]:
    return [row.content["body"] for row in Message.objects.filter(origin="call")]


def test_a_call_is_told_and_left_to_ring(number: Ringing, alice: Person) -> None:
    Contact.objects.create(instance=number.instance, phone=CARLA.phone, name="Carla")
    for _ in range(2):
        rung(number, offer(video=True))
    number.write(CallOver("C1", "missed", timezone.now())).result(20)
    number.write(CallOver("elsewhere", "missed", timezone.now())).result(20)
    assert told() == [("call.received", "ringing", None), ("call.ended", "ended", "missed")]
    assert (number.rejected, texts()) == ([], [])
    (call,) = alice.client.get(f"/api/instances/{number.instance_id}/calls").json()["results"]
    assert call["from"] == {
        "id": "15559990002@s.whatsapp.net", "phone": "15559990002", "lid": "777@lid", "name": "Carla",
    }  # fmt: skip
    assert (call["video"], call["group"]) == (True, False)


def test_a_call_that_is_rejected_is_answered_with_one_text(number: Ringing) -> None:
    update(instance=number.instance, settings=PLEASE)
    for _ in range(2):
        rung(number, offer())
    assert number.rejected == [("777@lid", "C1")]
    assert told() == [("call.received", "rejecting", None), ("call.ended", "rejected", "rejected")]
    (text,) = Message.objects.all()
    assert (text.content, text.origin, text.status) == ({"body": "Please write."}, "call", "queued")
    assert (text.chat, text.client_ref) == ("15559990002@s.whatsapp.net", Call.objects.get().pk)
    number.write(CallOver("C1", "hung_up", timezone.now())).result(20)
    assert len(told()) == 2


def test_one_caller_gets_one_text_in_ten_minutes_and_another_one_their_own(number: Ringing) -> None:
    update(instance=number.instance, settings=PLEASE)
    for wa_id in ("C1", "C2"):
        rung(number, offer(wa_id))
    rung(number, offer("C3", caller=Somebody(None, "888@lid"), caller_jid="888@lid"))
    assert [wa_id for _, wa_id in number.rejected] == ["C1", "C2", "C3"]
    assert sorted(Message.objects.values_list("chat", flat=True)) == ["15559990002@s.whatsapp.net", "888@lid"]


@pytest.mark.parametrize(
    ("changes", "rejected", "status"),
    [
        ({"at": timezone.now() - timedelta(hours=1)}, 0, "missed"),
        ({"group": True, "group_jid": "120363000000000001@g.us"}, 1, "rejected"),
        ({"caller": Somebody("15559990001", None)}, 0, None),
    ],
    ids=["one from before the number was online", "one of a group", "one that the owner makes"],
)
def test_who_is_not_written_to(number: Ringing, changes: dict[str, Any], rejected: int, status: str | None) -> None:
    update(instance=number.instance, settings=PLEASE)
    Instance.objects.update(phone="15559990001")
    rung(number, offer(**changes))
    assert (len(number.rejected), texts()) == (rejected, [])
    assert Call.objects.values_list("status", flat=True).first() == status


def test_the_next_worker_does_what_one_that_died_had_not_done(number: Ringing) -> None:
    update(instance=number.instance, settings=PLEASE)
    number.error = "websocket not connected"
    with pytest.raises(SendFailed):
        rung(number, offer())
    assert (told(), texts()) == ([("call.received", "rejecting", None)], [])
    number.error = ""
    for _ in range(2):
        Calls(number)._settle_rest()  # type: ignore[arg-type]
    assert (number.rejected, texts()) == ([("777@lid", "C1")], ["Please write."])

    number.write(offer("C2", caller=Somebody(None, "888@lid"), caller_jid="888@lid")).result(20)
    Call.objects.filter(wa_id="C2").update(at=timezone.now() - timedelta(minutes=5))
    Calls(number)._settle_rest()  # type: ignore[arg-type]
    assert told()[-1] == ("call.ended", "ended", "missed")
    assert (len(number.rejected), len(texts())) == (1, 2)


def test_a_text_that_was_taken_back_or_is_refused_is_not_owed_for_ever(number: Ringing) -> None:
    update(instance=number.instance, settings=PLEASE)
    first = number.write(offer("C1")).result(20)
    update(instance=number.instance, settings={"calls": {"text": None}})
    settle(number, first)  # type: ignore[arg-type]
    update(instance=number.instance, settings=PLEASE)
    second = number.write(offer("C2")).result(20)
    Instance.objects.update(wanted="stopped")  # what may not be sent now is no news in an hour
    settle(number, second)  # type: ignore[arg-type]
    Instance.objects.update(wanted="connected")
    Calls(number)._settle_rest()  # type: ignore[arg-type]
    assert (texts(), len(number.rejected)) == ([], 2)


def test_a_call_is_rejected_by_hand_while_it_rings(
    number: Ringing, alice: Person, rita: Person, charlie: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung(number, offer())
    call = Call.objects.get()
    path = f"/api/instances/{number.instance_id}/calls/{call.pk}/reject"
    assert_problem(rita.client.post(path), 403, "permission_denied")
    assert_problem(charlie.client.post(path), 404, "not_found")
    assert_problem(alice.client.post(path.replace("cal_0", "cal_1")), 404, "not_found")
    Instance.objects.update(state="reconnecting")
    assert_problem(alice.client.post(path), 503, "instance_offline")
    Instance.objects.update(state="connected")
    monkeypatch.setattr(commands, "call", lambda to, name, arguments: reject(number, arguments))  # type: ignore[arg-type]
    for _ in range(2):
        assert alice.client.post(path).json()["status"] == "rejected"
    assert number.rejected == [("777@lid", "C1")]
    rung(number, offer("C2"))
    Call.objects.filter(wa_id="C2").update(at=timezone.now() - timedelta(minutes=2))
    path = path.replace(call.pk, Call.objects.get(wa_id="C2").pk)
    assert_problem(alice.client.post(path), 409, "call_ended")


def test_calls_go_with_their_age_with_the_caller_and_with_the_instance(number: Ringing) -> None:
    for wa_id in ("C1", "C2"):
        rung(number, offer(wa_id, caller=Somebody(None, f"{wa_id}@lid"), caller_jid=f"{wa_id}@lid"))
    person = somebody(number.instance, Jid("C1", "lid"))
    assert "call" in [line["kind"] for line in everything(person)]
    go_on(erasure_id=erase(person=person).pk)
    assert Call.objects.get().wa_id == "C2"
    services.prune()
    assert Call.objects.count() == 1
    Instance.objects.update(holder=None, lease_until=None)
    removal.delete(instance=number.instance)
    removal.go_on(instance_id=number.instance_id)
    assert Call.objects.count() == 0


def test_what_is_said_to_callers_has_a_length(alice: Person, instance: Instance) -> None:
    path = f"/api/instances/{instance.id}"
    shown = alice.client.patch(path, {"settings": {"calls": {"text": "x" * 1024}}}, format="json").json()
    assert shown["settings"]["calls"] == {"reject": False, "text": "x" * 1024}
    for text in ("x" * 1025, " ", 5):
        answer = alice.client.patch(path, {"settings": {"calls": {"text": text}}}, format="json")
        assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/settings/calls/text"

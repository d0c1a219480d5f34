"""What the connection of a number reports, written through the real writer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from instances.holding.handlers import Linked, ShowPairingCode, ShowQr
from instances.holding.writer import Writer
from instances.models import Instance
from instances.states import TRANSITIONS, State
from instances.whatsapp.news import StateChange
from webhooks.models import Event

Write = Callable[..., Instance]


@pytest.fixture
def write(running_writer: Writer, held: Instance) -> Write:
    """Brings the instance into a state, writes a value and returns the row."""

    def write(value: Any, **columns: Any) -> Instance:
        Instance.objects.filter(pk=held.pk).update(**columns)
        running_writer.submit(held.id, 1, value).result(20)
        return Instance.objects.get(pk=held.pk)

    return write


def types() -> list[str]:
    return [event.type for event in Event.objects.order_by("sequence")]


def linking(**columns: Any) -> dict[str, Any]:
    return {"state": State.LINKING, "reason": "waiting_for_worker", "device_jid": None, "phone": None} | columns


def test_coming_online_is_noted_and_reported(write: Write) -> None:
    before = timezone.now()
    row = write(StateChange(State.CONNECTED, "online"), state=State.CONNECTING, reason="linked")
    assert row.state == State.CONNECTED
    assert row.connected_at is not None
    assert before <= row.connected_at == row.connected_at
    assert types() == ["instance.state", "instance.connected"]


def test_the_same_state_again_is_no_event(write: Write) -> None:
    write(StateChange(State.CONNECTED, "online"), state=State.CONNECTED, reason="online")
    assert types() == []


def test_another_reason_for_the_same_state_is_an_event(write: Write) -> None:
    lost = {"state": State.RECONNECTING, "reason": "connection_lost"}
    row = write(StateChange(State.RECONNECTING, "network_unreachable", "no route"), **lost)
    assert (row.reason, row.detail) == ("network_unreachable", "no route")
    assert types() == ["instance.state"]


def test_what_cannot_follow_is_ignored(write: Write) -> None:
    assert State.CONNECTED not in TRANSITIONS[State.BANNED]
    row = write(StateChange(State.CONNECTED, "online"), state=State.BANNED, reason="temporary_ban")
    assert row.state == State.BANNED
    assert types() == []


@pytest.mark.parametrize("state", [State.CONNECTED, State.RECONNECTING, State.REPLACED, State.BANNED, State.FAILED])
def test_what_a_stopped_number_still_reports_is_ignored(write: Write, state: str) -> None:
    stopped = {"wanted": "stopped", "state": State.STOPPED, "reason": "stopped_by_user"}
    row = write(StateChange(state, "connection_lost"), **stopped)
    assert (row.state, row.reason) == (State.STOPPED, "stopped_by_user")
    assert types() == []


@pytest.mark.parametrize("wanted", ["connected", "stopped"])
def test_a_logout_clears_the_device(write: Write, wanted: str) -> None:
    state = State.CONNECTED if wanted == "connected" else State.STOPPED
    row = write(StateChange(State.LOGGED_OUT, "unlinked"), wanted=wanted, state=state)
    assert (row.state, row.device_jid, row.linked) == (State.LOGGED_OUT, None, False)
    assert types() == ["instance.state"]


def test_a_ban_tells_its_end_and_the_next_state_forgets_it(write: Write) -> None:
    until = timezone.now() + timedelta(hours=1)
    row = write(StateChange(State.BANNED, "temporary_ban", "too many", until))
    assert (row.state, row.banned_until) == (State.BANNED, until)
    assert Event.objects.get().data["banned_until"].endswith("Z")
    assert write(StateChange(State.RECONNECTING, "connection_lost")).banned_until is None


def test_a_long_detail_is_cut(write: Write) -> None:
    assert len(write(StateChange(State.FAILED, "refused", "x" * 1000)).detail) == 500


def test_a_qr_code_is_stored_and_reported(write: Write) -> None:
    before = timezone.now()
    row = write(ShowQr("2@abc", 20), **linking())
    assert (row.state, row.reason, row.qr_code) == (State.LINKING, "waiting_for_scan", "2@abc")
    assert row.qr_expires_at is not None
    assert timedelta(seconds=20) <= row.qr_expires_at - before < timedelta(seconds=25)
    event = Event.objects.get(type="instance.qr")
    assert event.data["code"] == "2@abc"
    assert types() == ["instance.state", "instance.qr"]


def test_the_next_qr_code_replaces_the_first(write: Write) -> None:
    write(ShowQr("2@abc", 60), **linking())
    assert write(ShowQr("2@def", 20)).qr_code == "2@def"
    assert types() == ["instance.state", "instance.qr", "instance.qr"]


@pytest.mark.parametrize("value", [ShowQr("2@abc", 20), ShowPairingCode("ABCD-1234")])
def test_a_code_that_comes_after_the_stop_is_not_shown(write: Write, value: object) -> None:
    row = write(value, **linking(wanted="stopped", state=State.STOPPED, reason="stopped_by_user"))
    assert (row.state, row.qr_code, row.pairing_code) == (State.STOPPED, None, None)
    assert types() == []


def test_a_pairing_code_is_stored(write: Write) -> None:
    assert write(ShowPairingCode("ABCD-1234"), **linking()).pairing_code == "ABCD-1234"


def test_a_link_stores_the_number_and_takes_back_the_codes(write: Write) -> None:
    showing = linking(qr_code="2@abc", pairing_code="ABCD-1234", link_phone="15550100009")
    row = write(Linked("15550100009:3@s.whatsapp.net", "15550100009", "777@lid"), **showing)
    assert (row.state, row.reason) == (State.CONNECTING, "linked")
    assert (row.device_jid, row.phone, row.lid) == ("15550100009:3@s.whatsapp.net", "15550100009", "777@lid")
    assert (row.qr_code, row.pairing_code, row.link_phone) == (None, None, None)
    assert row.jid == "15550100009@s.whatsapp.net"


def test_a_link_in_the_moment_of_the_stop_is_kept_and_the_number_stays_stopped(write: Write) -> None:
    stopped = linking(wanted="stopped", state=State.STOPPED, reason="stopped_by_user")
    row = write(Linked("15550100009:3@s.whatsapp.net", "15550100009", None), **stopped)
    assert (row.state, row.linked) == (State.STOPPED, True)


@pytest.mark.parametrize("reason", ["link_timeout", "link_failed"])
def test_a_link_that_failed_waits_for_the_next_connect(write: Write, reason: str) -> None:
    row = write(StateChange(State.STOPPED, reason), **linking())
    assert (row.state, row.reason, row.wanted) == (State.STOPPED, reason, "stopped")

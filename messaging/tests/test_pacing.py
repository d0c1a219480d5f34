from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from conftest import wait_for
from instances import settings
from instances.models import Instance
from instances.settings import QuietHours
from messaging.models import Message
from messaging.sending.pacing import MANY, Pacer, quiet_until, typing_seconds
from messaging.tests.conftest import FakeHeld

MakeMessage = Callable[..., Message]
NIGHT = {"from": "22:00", "to": "08:00", "timezone": "Europe/Berlin"}
AROUND_THE_CLOCK = {"from": "00:00", "to": "23:59", "timezone": "UTC"}


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        (("22:00", "08:00", "Europe/Berlin"), (11, 23, 20, 59), None),
        (("22:00", "08:00", "Europe/Berlin"), (11, 23, 21, 0), (11, 24, 7, 0)),
        (("22:00", "08:00", "Europe/Berlin"), (11, 24, 6, 59), (11, 24, 7, 0)),
        (("22:00", "08:00", "Europe/Berlin"), (11, 24, 7, 0), None),
        (("22:00", "08:00", "Europe/Berlin"), (7, 1, 20, 0), (7, 2, 6, 0)),
        (("12:00", "13:30", "UTC"), (11, 23, 12, 0), (11, 23, 13, 30)),
        (("12:00", "13:30", "UTC"), (11, 23, 13, 30), None),
        (("22:00", "08:00", "Pacific/Auckland"), (11, 23, 12, 0), (11, 23, 19, 0)),
    ],
)
def test_quiet_hours_go_by_the_clocks_of_their_place(
    hours: tuple[str, str, str], now: tuple[int, ...], until: tuple[int, ...] | None
) -> None:
    start, end, zone = hours
    found = quiet_until(QuietHours(start=start, end=end, timezone=zone), datetime(2026, *now, tzinfo=UTC))  # type: ignore[misc, arg-type]
    assert found == (None if until is None else datetime(2026, *until, tzinfo=UTC))  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "chat", "asked", "seconds"),
    [
        ("x" * 40, "1@s.whatsapp.net", {}, 2.0),
        ("x" * 4000, "1@s.whatsapp.net", {}, 5.0),
        ("x" * 40, "1@s.whatsapp.net", {"typing": False}, 0.0),
        ("x" * 40, "1@s.whatsapp.net", {"typing": 30}, 30.0),
        ("x" * 40, "1@s.whatsapp.net", {"typing": True}, 2.0),
        ("", "1@s.whatsapp.net", {}, 0.0),
        ("x" * 40, "1@g.us", {}, 2.0),
        ("x" * 40, "status@broadcast", {}, 0.0),
        ("x" * 40, "1@newsletter", {"typing": 9}, 0.0),
    ],
)
def test_typing_takes_as_long_as_the_text(text: str, chat: str, asked: dict[str, Any], seconds: float) -> None:
    assert typing_seconds(Message(text=text, chat=chat, attributes=asked), settings.Typing(simulate=True)) == seconds


def paced(instance: Instance, **change: Any) -> None:
    Instance.objects.filter(pk=instance.pk).update(settings=change)
    instance.refresh_from_db()


def slow(held: FakeHeld, row: Message, instance: Instance) -> Pacer:
    """A pacer that has learned from a claimed row that there is something to wait for."""
    pacer = Pacer(held)
    row.instance = instance
    assert not pacer.learn([row])
    return pacer


@pytest.mark.django_db
def test_without_pacing_nothing_is_looked_at(
    fake_held: FakeHeld, instance: Instance, make_message: MakeMessage, django_assert_num_queries: Any
) -> None:
    pacer, row = Pacer(fake_held), make_message(instance)
    row.instance = instance
    with django_assert_num_queries(0):
        assert pacer.ready() == MANY
        assert pacer.learn([row])
        pacer.sent()
        assert pacer.ready() == MANY


def test_messages_keep_their_distance_until_the_settings_change(
    committed: None, fake_held: FakeHeld, instance: Instance, make_message: MakeMessage
) -> None:
    paced(instance, pacing={"min_gap_ms": 300})
    pacer = slow(fake_held, make_message(instance), instance)
    assert pacer.ready() == 1
    pacer.sent()
    before = time.monotonic()
    assert pacer.ready() == 1
    assert 0.25 < time.monotonic() - before < 5
    paced(instance, pacing={"min_gap_ms": 600_000})
    pacer.ready()
    pacer.sent()
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(pacer.ready()))
    thread.start()
    assert not found
    paced(instance)
    wait_for(lambda: pacer.nudge() or found)  # type: ignore[func-returns-value]
    thread.join()
    assert found == [MANY]


def test_a_stop_is_not_kept_waiting(
    committed: None, fake_held: FakeHeld, instance: Instance, make_message: MakeMessage
) -> None:
    row = make_message(instance, attributes={"typing": 60})
    pacer = slow(fake_held, row, instance)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(pacer.ready()))
    thread.start()
    wait_for(lambda: fake_held.presences)
    pacer.stop()
    thread.join(5)
    assert found == [0]
    assert fake_held.presences == [(row.chat, "composing"), (row.chat, "paused")]


def test_typing_ends_when_its_message_is_cancelled(
    committed: None, fake_held: FakeHeld, instance: Instance, make_message: MakeMessage
) -> None:
    row, following = make_message(instance, attributes={"typing": 60}), make_message(instance)
    pacer = slow(fake_held, row, instance)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(pacer.ready()))
    thread.start()
    wait_for(lambda: fake_held.presences)
    Message.objects.filter(pk=row.pk).update(status="cancelled")
    wait_for(lambda: pacer.nudge() or found)  # type: ignore[func-returns-value]
    thread.join()
    following.instance = instance
    assert found == [MANY]
    assert pacer.learn([following])


def test_a_message_is_typed_for_once(
    committed: None, fake_held: FakeHeld, instance: Instance, make_message: MakeMessage
) -> None:
    row = make_message(instance, attributes={"typing": 0.1}, content={"voice": True}, type="audio")
    pacer = slow(fake_held, row, instance)
    assert [pacer.ready(), pacer.ready()] == [1, 1]
    assert fake_held.presences == [(row.chat, "recording")]
    assert pacer.learn([row])


def test_nothing_leaves_in_quiet_hours(
    committed: None, fake_held: FakeHeld, instance: Instance, make_message: MakeMessage
) -> None:
    paced(instance, pacing={"quiet_hours": AROUND_THE_CLOCK})
    if datetime.now(UTC).strftime("%H:%M") == "23:59":
        pytest.skip("the one minute of the day that is not quiet")
    pacer = slow(fake_held, make_message(instance), instance)
    assert pacer.ready() == 0
    paced(instance)
    assert pacer.ready() == MANY

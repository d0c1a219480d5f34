"""What is attempted at the same time at one endpoint, and what waits for what."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook

from conftest import Person
from webhooks import deliveries, line
from webhooks.dispatcher import Dispatcher
from webhooks.events import Draft, append
from webhooks.models import Attempt, Delivery, Endpoint, Event, new_secret
from webhooks.tests.conftest import Receiver, wait_for

Commit = Callable[..., list[Event]]
BACKLOG = int(os.environ.get("BACKLOG", "2000"))


@pytest.fixture
def commit(draft: Any) -> Commit:
    """Commits an event in each of these chats."""

    def commit(*chats: str) -> list[Event]:
        with transaction.atomic():
            return append([draft(data={"chat": {"id": f"{chat}@s.whatsapp.net"}}) for chat in chats])

    return commit


def chats(receiver: Receiver) -> list[str]:
    return [orjson.loads(request.body)["data"]["chat"]["id"].partition("@")[0] for request in receiver.requests]


def sequences(receiver: Receiver, chat: str) -> list[int]:
    bodies = [orjson.loads(request.body) for request in receiver.requests]
    return [body["sequence"] for body in bodies if body["data"]["chat"]["id"] == f"{chat}@s.whatsapp.net"]


def take_ids(hook: Endpoint, claim: uuid.UUID, limit: int) -> list[str]:
    batch = deliveries.take(hook.id, claim, limit)
    assert batch is not None
    return [job.event_id for job in batch.jobs]


def is_over(hook: Endpoint) -> bool:
    return not hook.deliveries.exclude(state="succeeded").exists()


def fail(receiver: Receiver, *numbers: int) -> None:
    receiver.answer = lambda number, path: (500 if number in numbers else 200, {}, b"")


def test_chats_go_out_side_by_side_and_each_in_its_order(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, commit: Commit
) -> None:
    commit(*[chat for _ in range(20) for chat in ("1", "2", "3")])
    together, passed = threading.Barrier(3), threading.Event()

    def answer(number: int, path: str) -> tuple[int, dict[str, str], bytes]:
        if not passed.is_set():
            together.wait(10)  # three are under way at the same time, or this breaks
            passed.set()
        return 200, {}, b""

    receiver.answer = answer
    dispatcher.wake(hook.id)
    wait_for(lambda: is_over(hook))
    for chat in ("1", "2", "3"):
        assert sequences(receiver, chat) == sorted(sequences(receiver, chat))
    assert len(receiver.requests) == 60


def test_an_event_that_fails_lets_its_chat_go_on(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, commit: Commit
) -> None:
    fail(receiver, 1)
    commit("1", "1")
    dispatcher.wake(hook.id)
    wait_for(lambda: hook.deliveries.filter(state="succeeded").count() == 1)
    assert sequences(receiver, "1") == [1, 2]


def test_where_order_is_wanted_a_failure_holds_its_chat_back_and_no_other(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, commit: Commit
) -> None:
    Endpoint.objects.update(ordering="chat")
    fail(receiver, 1)
    commit("1", "1")
    dispatcher.wake(hook.id)
    wait_for(lambda: hook.deliveries.filter(attempt_count=1).exists())
    commit("1", "2")
    dispatcher.wake(hook.id)
    wait_for(lambda: hook.deliveries.filter(state="succeeded").exists())
    assert chats(receiver) == ["1", "2"]
    wait_for(lambda: is_over(hook), 15)
    assert sequences(receiver, "1") == [1, 1, 2, 3]


def test_order_is_kept_however_many_wait_and_however_often_it_fails(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, commit: Commit, settings: Settings
) -> None:
    settings.WEBHOOK_RETRY_SECONDS = [1] * 20
    Endpoint.objects.update(ordering="chat")
    receiver.answer = lambda number, path: (500 if number % 3 == 0 and number < 20 else 200, {}, b"")
    for _ in range(6):
        commit(*[str(number % 3) for number in range(50)])
    dispatcher.wake(hook.id)
    wait_for(lambda: is_over(hook), 60)
    for chat in ("0", "1", "2"):
        taken = list(dict.fromkeys(reversed(sequences(receiver, chat))))[::-1]  # the last attempt of each succeeded
        assert taken == sorted(taken)


def test_what_waits_is_not_overtaken_by_what_is_due_before_it(hook: Endpoint, commit: Commit) -> None:
    Endpoint.objects.update(ordering="chat")
    older, newer, other = (event.id for event in commit("1", "1", "2"))
    now, claim = timezone.now(), uuid.uuid4()
    # As after a failure of a third one before both, which has succeeded since: the older was held back by it.
    for event_id, seconds in ((older, 1), (newer, 3), (other, 2)):
        hook.deliveries.filter(event=event_id).update(next_attempt_at=now - timedelta(seconds=seconds))
    taken = [take_ids(hook, claim, limit=1) for _ in range(4)]
    assert taken == [[], [other], [older], [newer]]


def test_a_replay_holds_back_replays_alone(hook: Endpoint, commit: Commit) -> None:
    Endpoint.objects.update(ordering="chat")
    first, second, live = (event.id for event in commit("1", "1", "1"))
    now, later, claim = timezone.now(), timezone.now() + timedelta(minutes=1), uuid.uuid4()
    hook.deliveries.filter(event__in=[first, second]).update(replay=True, next_attempt_at=now)
    hook.deliveries.filter(event=first).update(next_attempt_at=later)
    assert take_ids(hook, claim, limit=10) == [live]
    assert hook.deliveries.get(event=second).next_attempt_at == later


def test_nothing_is_held_back_for_more_than_a_quarter_of_an_hour(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, commit: Commit
) -> None:
    Endpoint.objects.update(ordering="chat")
    fail(receiver, 1)
    commit("1", "1")
    dispatcher.wake(hook.id)
    wait_for(lambda: hook.deliveries.filter(attempt_count=1, state="pending").exists())
    wait_for(lambda: Endpoint.objects.get().claim is None)
    now = timezone.now()
    Attempt.objects.update(at=now - timedelta(minutes=16))
    hook.deliveries.filter(attempt_count=1).update(next_attempt_at=now + timedelta(minutes=20))
    hook.deliveries.filter(attempt_count=0).update(next_attempt_at=now)
    dispatcher.wake(hook.id)
    wait_for(lambda: len(receiver.requests) == 2)
    assert sequences(receiver, "1") == [1, 2]


def test_a_receiver_that_is_down_rests_and_what_waits_keeps_its_attempts(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, commit: Commit
) -> None:
    receiver.answer = lambda number, path: (500, {}, b"")
    commit(*[str(number) for number in range(40)])
    dispatcher.wake(hook.id)
    wait_for(lambda: dispatcher.is_resting(hook.id))
    wait_for(lambda: Endpoint.objects.get().claim is None)
    assert line.RESTING_AFTER <= len(receiver.requests) < 12
    receiver.answer = lambda number, path: (200, {}, b"")
    wait_for(lambda: hook.deliveries.filter(state="succeeded").count() >= 28, 15)  # it is asked again by itself


def test_an_endpoint_is_asked_for_no_more_at_once_than_is_said(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, commit: Commit
) -> None:
    under_way, most, lock = [0], [0], threading.Lock()
    enough = threading.Event()

    def answer(number: int, path: str) -> tuple[int, dict[str, str], bytes]:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            if under_way[0] == line.WIDTH:
                enough.set()
        if number > 60:
            enough.wait(10)
        with lock:
            under_way[0] -= 1
        return 200, {}, b""

    receiver.answer = answer
    commit(*[str(number) for number in range(150)])
    dispatcher.wake(hook.id)
    wait_for(lambda: is_over(hook))
    assert most == [line.WIDTH]


def test_an_endpoint_with_a_long_backlog_delays_no_other(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, charlie: Person, draft: Callable[..., Draft]
) -> None:
    def answer(number: int, path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/hook":
            time.sleep(0.03)  # so that its backlog lasts for some seconds on any machine
        return 200, {}, b""

    receiver.answer = answer
    for start in range(0, BACKLOG, 100):
        with transaction.atomic():
            append([draft(data={"chat": {"id": f"{start + n}@s.whatsapp.net"}}) for n in range(100)])
    url = receiver.url.replace("/hook", "/other")
    other = Endpoint.objects.create(organization=charlie.organization, url=url, events=["*"])
    dispatcher.wake(hook.id)
    wait_for(lambda: len(receiver.requests) > 50)
    for number in range(1, 4):
        with transaction.atomic():
            append([draft(organization_id=charlie.organization.id, instance_id=None)])
        dispatcher.wake(other.id)
        wait_for(lambda n=number: sum(r.path == "/other" for r in receiver.requests) == n)  # type: ignore[misc]
    assert hook.deliveries.filter(state="pending").exists()


def test_both_secrets_sign_while_they_overlap_and_custom_headers_go_along(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, commit: Commit
) -> None:
    valid, over = new_secret(), new_secret()
    now = timezone.now().timestamp()
    hook.old_secrets = [[valid, now + 60], [over, now - 1]]
    hook.headers = {"authorization": "Bearer theirs", "webhook-id": "not ours"}
    hook.save()
    commit("1")
    dispatcher.wake(hook.id)
    wait_for(lambda: is_over(hook))
    (request,) = receiver.requests
    signatures = request.headers["webhook-signature"].split(" ")
    assert len(signatures) == 2
    for secret in (hook.secret, valid):
        Webhook(secret).verify(request.body, request.headers)
    assert request.headers["authorization"] == "Bearer theirs"
    assert request.headers["webhook-id"].startswith("evt_")
    assert request.headers["x-request-id"] == Attempt.objects.get().request_id
    assert request.headers["x-request-id"].startswith("req_")


def test_what_was_taken_is_not_taken_twice_under_one_claim(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, commit: Commit
) -> None:
    receiver.open.clear()
    commit("1", "2")
    dispatcher.wake(hook.id)
    wait_for(lambda: len(receiver.requests) == 2)
    commit("3")
    dispatcher.wake(hook.id)
    wait_for(lambda: len(receiver.requests) == 3)
    receiver.open.set()
    wait_for(lambda: is_over(hook))
    assert Delivery.objects.count() == Attempt.objects.count() == 3

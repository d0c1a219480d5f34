from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from config.ids import new_id
from webhooks import deliveries
from webhooks.deliveries import Job, Outcome, next_attempt_at
from webhooks.dispatcher import Dispatcher
from webhooks.events import append
from webhooks.models import Attempt, Delivery, Endpoint, Event
from webhooks.tests.conftest import Receiver, wait_for

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def commit(*drafts: Any) -> list[Event]:
    with transaction.atomic():
        return append(drafts)


def states(hook: Endpoint) -> list[str]:
    return list(hook.deliveries.order_by("event__sequence").values_list("state", flat=True))


def test_a_receiver_can_verify_what_arrives_and_a_changed_body_is_noticed(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    (event,) = commit(draft())
    dispatcher.wake(hook.id)
    wait_for(lambda: states(hook) == ["succeeded"])
    (request,) = receiver.requests
    assert request.headers["webhook-id"] == event.id
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("whatsapp-api/")
    assert orjson.loads(request.body) == event.payload()
    assert Webhook(hook.secret).verify(request.body, request.headers) == event.payload()
    with pytest.raises(WebhookVerificationError):
        Webhook(hook.secret).verify(request.body.replace(b"hello", b"hallo"), request.headers)


def test_the_reply_of_an_attempt_is_kept(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    receiver.answer = lambda number, path: (201, {}, b"\x00\xff" + 30_000 * b"a")
    commit(draft())
    dispatcher.wake(hook.id)
    wait_for(lambda: states(hook) == ["succeeded"])
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.error) == (201, "")
    assert attempt.response == "\ufffd\ufffd" + 19_998 * "a"


def test_events_arrive_in_order_and_once_although_wake_ups_come_in_swarms(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    for start in range(0, 60, 3):
        commit(*[draft(data={"n": start + n}) for n in range(3)])
        dispatcher.wake(hook.id)
        dispatcher.wake(hook.id)
    wait_for(lambda: states(hook) == 60 * ["succeeded"])
    assert [orjson.loads(request.body)["sequence"] for request in receiver.requests] == list(range(1, 61))


def test_a_failing_event_waits_for_its_retry_and_lets_the_next_ones_pass(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    receiver.answer = lambda number, path: (500 if number == 1 else 200, {}, b"")
    commit(draft(), draft(), draft())
    dispatcher.wake(hook.id)
    wait_for(lambda: states(hook) == ["pending", "succeeded", "succeeded"])
    first = hook.deliveries.get(event__sequence=1)
    assert first.attempt_count == 1
    assert 3 < (first.next_attempt_at - first.attempts.get().at).total_seconds() < 7


def test_a_retry_has_the_same_id_and_body_and_a_fresh_signature(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    receiver.answer = lambda number, path: (500 if number == 1 else 200, {}, b"")
    commit(draft())
    dispatcher.wake(hook.id)
    wait_for(lambda: states(hook) == ["succeeded"], 15)
    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])
    Webhook(hook.secret).verify(second.body, second.headers)
    assert [attempt.status for attempt in Attempt.objects.all()] == [500, 200]


def test_only_2xx_is_success_and_redirects_are_not_followed(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    statuses = [200, 301, 202, 302, 307, 400, 299, 404, 503]
    receiver.answer = lambda number, path: (statuses[number - 1], {"Location": "/elsewhere"}, b"")
    commit(*[draft() for _ in statuses])
    dispatcher.wake(hook.id)
    wait_for(lambda: Attempt.objects.count() == len(statuses))
    assert states(hook) == ["succeeded" if 200 <= status < 300 else "pending" for status in statuses]
    assert {request.path for request in receiver.requests} == {"/hook"}


def test_410_disables_the_endpoint_at_once(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    receiver.answer = lambda number, path: (410, {}, b"")
    commit(draft())
    dispatcher.wake(hook.id)
    wait_for(lambda: states(hook) == ["failed"])
    hook.refresh_from_db()
    assert not hook.enabled
    assert hook.disabled_code == "receiver_gone"
    commit(draft())
    assert hook.deliveries.count() == 1


def test_endpoints_that_hang_delay_no_other(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    tarpit = Receiver()
    tarpit.open.clear()
    hanging = [
        Endpoint.objects.create(organization_id=hook.organization_id, url=tarpit.url, events=["*"]) for _ in range(30)
    ]
    commit(draft())
    for endpoint in hanging:
        dispatcher.wake(endpoint.id)
    wait_for(lambda: len(tarpit.requests) == 30)
    dispatcher.wake(hook.id)
    wait_for(lambda: states(hook) == ["succeeded"])
    assert not Delivery.objects.filter(endpoint__in=hanging, state="succeeded").exists()
    tarpit.open.set()
    wait_for(lambda: not Delivery.objects.exclude(state="succeeded").exists())
    tarpit.stop()


def test_a_receiver_that_cannot_be_reached_is_an_attempt_with_an_error(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    receiver.stop()
    commit(draft())
    dispatcher.wake(hook.id)
    attempt = wait_for(Attempt.objects.first)
    assert (attempt.status, attempt.error) == (None, "The receiver could not be reached.")


def test_stopping_finishes_the_attempt_under_way_and_gives_the_rest_back(
    committed: None, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    stopping = Dispatcher()
    receiver.open.clear()
    commit(draft(), draft())
    stopping.wake(hook.id)
    wait_for(lambda: receiver.requests)
    stopping._loop.call_later(0.2, receiver.open.set)
    stopping.stop()
    assert states(hook) == ["succeeded", "pending"]
    hook.refresh_from_db()
    assert hook.claim is None


def test_one_process_at_a_time_has_the_claim(committed: None, hook: Endpoint, draft: Any) -> None:
    commit(draft())
    first, second = uuid.uuid4(), uuid.uuid4()
    assert deliveries.take(hook.id, first, 100) is not None
    assert deliveries.take(hook.id, second, 100) is None
    assert deliveries.neglected() == []
    deliveries.release(hook.id, first)
    assert deliveries.neglected() == [hook.id]
    assert deliveries.take(hook.id, second, 100) is not None


def test_what_a_killed_worker_had_taken_is_delivered_after_its_claim_ran_out(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    commit(draft(), draft())
    deliveries.take(hook.id, uuid.uuid4(), 100)
    assert states(hook) == ["delivering", "delivering"]
    dispatcher.wake(hook.id)
    Endpoint.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert deliveries.neglected() == [hook.id]
    dispatcher.wake(hook.id)
    wait_for(lambda: states(hook) == ["succeeded", "succeeded"])


def test_results_are_not_written_after_the_claim_was_lost(committed: None, hook: Endpoint, draft: Any) -> None:
    commit(draft())
    late, next_one = uuid.uuid4(), uuid.uuid4()
    batch = deliveries.take(hook.id, late, 100)
    Endpoint.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    deliveries.take(hook.id, next_one, 100)
    assert batch is not None
    outcome = Outcome(batch.jobs[0], timezone.now(), 1, 200)
    assert not deliveries.record(hook.id, late, [outcome]).go_on
    assert states(hook) == ["delivering"]
    assert deliveries.record(hook.id, next_one, [outcome]).go_on
    assert states(hook) == ["succeeded"]


def test_events_of_several_instances_are_taken_by_age_and_each_instance_in_order(
    committed: None, hook: Endpoint, draft: Any
) -> None:
    a, b = new_id("ins"), new_id("ins")
    commit(*[draft(instance_id=i) for i in (a, b, a)])
    commit(*[draft(instance_id=i) for i in (b, a)])
    batch = deliveries.take(hook.id, uuid.uuid4(), 100)
    assert batch is not None
    payloads = [orjson.loads(job.body) for job in batch.jobs]
    assert [p["sequence"] for p in payloads if p["instance"] == a] == [1, 2, 3]
    assert [p["sequence"] for p in payloads if p["instance"] == b] == [1, 2]


def failed(attempts_before: int = 0, **fields: Any) -> Outcome:
    job = Job("dlv_x", attempts_before, "evt_x", NOW, b"", "")
    return Outcome(job, NOW, 1, **({"status": 500} | fields))


@pytest.mark.parametrize("attempts_before", range(9))
def test_each_retry_comes_at_its_time_give_or_take_a_fifth(attempts_before: int) -> None:
    times = {(next_attempt_at(failed(attempts_before)) - NOW).total_seconds() for _ in range(50)}
    due = settings.WEBHOOK_RETRY_SECONDS[attempts_before]
    assert len(times) > 1
    assert all(0.8 * due <= seconds <= 1.2 * due for seconds in times)


def test_ten_attempts_cover_about_75_hours_and_then_it_is_over() -> None:
    assert sum(settings.WEBHOOK_RETRY_SECONDS) == 75 * 3600 + 35 * 60 + 5
    assert next_attempt_at(failed(9)) is None


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("120", 120, 120),
        ("999999999999999", 3600, 3600),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90, 90),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 3600, 3600),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 4, 6),
        ("soon", 4, 6),
        ("-5", 4, 6),
        ("", 4, 6),
    ],
)
def test_retry_after_is_honoured_up_to_an_hour(text: str, least: int, most: int) -> None:
    assert least <= (next_attempt_at(failed(status=503, retry_after=text)) - NOW).total_seconds() <= most

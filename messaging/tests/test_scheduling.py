from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from config.timestamps import iso
from conftest import Person, assert_problem
from instances.models import Instance
from media import services as media_services
from media.models import Media
from messaging.accepting import scheduling
from messaging.models import Message
from messaging.sending.ledger import Claim, fail_waiting
from messaging.states import Status
from messaging.tests.conftest import Write
from subscriptions.models import Meter
from webhooks.models import Event

MakeMessage = Callable[..., Message]
HOUR = timedelta(hours=1)
WAITING = ["scheduled", "preparing", "held", "queued"]


def send(client: APIClient, instance: Instance, **fields: Any) -> Any:
    body = {"instance": instance.id, "to": "15550100002", "type": "text", "text": {"body": "hello"}} | fields
    body = {name: value for name, value in body.items() if value is not None}
    return client.post("/api/messages", body, format="json")


def types() -> list[str]:
    return [event.type for event in Event.objects.order_by("sequence")]


def used() -> int:
    return Meter.objects.get(network="sandbox").used


@pytest.fixture
def due(make_message: MakeMessage, instance: Instance) -> Message:
    """A scheduled message whose time has come."""
    return make_message(instance, status="scheduled", send_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_a_message_with_a_time_is_scheduled_and_counts_at_once(alice: Person, instance: Instance) -> None:
    at = timezone.now() + HOUR
    body = send(alice.client, instance, send_at=iso(at)).json()
    assert (body["status"], body["send_at"]) == ("scheduled", iso(at))
    assert (types(), used()) == (["message.scheduled"], 1)
    assert scheduling.release_due() == set()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("send_at", "code"),
    [
        (timedelta(seconds=-1), "send_at_in_past"),
        (timedelta(days=30, minutes=5), "send_at_too_far"),
        ("2026-12-24T18:00:00", "invalid"),
        ("tomorrow", "invalid"),
        (1_900_000_000, "invalid"),
    ],
)
def test_a_time_is_ahead_within_thirty_days_and_has_an_offset(
    alice: Person, instance: Instance, make_message: MakeMessage, send_at: Any, code: str
) -> None:
    text = iso(timezone.now() + send_at) if isinstance(send_at, timedelta) else send_at
    (error,) = assert_problem(send(alice.client, instance, send_at=text), 400, "invalid_request")["errors"]
    assert (error["pointer"], error["code"]) == ("/send_at", code)
    row = make_message(instance, status="scheduled", send_at=timezone.now() + HOUR)
    answer = alice.client.patch(f"/api/messages/{row.id}", {"send_at": text}, format="json")
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/send_at"


@pytest.mark.django_db
def test_what_is_due_is_queued_once(due: Message, instance: Instance) -> None:
    assert scheduling.release_due([]) == set()
    assert scheduling.release_due([instance.id]) == {instance.id}
    assert scheduling.release_due() == set()
    due.refresh_from_db()
    assert (due.status, types()) == ("queued", ["message.queued"])


@pytest.mark.django_db
def test_what_is_due_for_a_stopped_number_waits_for_it(due: Message, instance: Instance) -> None:
    Instance.objects.update(wanted="stopped", state="stopped")
    assert scheduling.release_due() == {instance.id}
    due.refresh_from_db()
    assert due.status == "queued"


def test_many_releasers_queue_each_message_once(committed: None, instance: Instance, make_message: MakeMessage) -> None:
    rows = [make_message(instance, status="scheduled", send_at=timezone.now()) for _ in range(20)]

    def release() -> None:
        try:
            scheduling.release_due()
        finally:
            connection.close()

    threads = [threading.Thread(target=release) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    scheduling.release_due()
    assert set(Message.objects.values_list("status", flat=True)) == {"queued"}
    assert sorted(event.data["id"] for event in Event.objects.all()) == [row.id for row in rows]


@pytest.mark.django_db
def test_another_time_can_be_given_while_it_waits(alice: Person, instance: Instance) -> None:
    message_id = send(alice.client, instance, send_at=iso(timezone.now() + HOUR)).json()["id"]
    later = iso(timezone.now() + 5 * HOUR)
    answer = alice.client.patch(f"/api/messages/{message_id}", {"send_at": later}, format="json")
    assert (answer.status_code, answer.json()["send_at"]) == (200, later)
    assert types() == ["message.scheduled"] * 2
    Message.objects.update(status="queued")
    answer = alice.client.patch(f"/api/messages/{message_id}", {"send_at": later}, format="json")
    assert_problem(answer, 409, "message_not_scheduled")


@pytest.mark.django_db
def test_a_file_stays_until_its_message_leaves(alice: Person, instance: Instance) -> None:
    far = {"send_at": iso(timezone.now() + timedelta(days=30) - HOUR)}
    media = Media.objects.create(organization=alice.organization, source="upload", status="stored", mime_type="a/b")
    half_an_hour_ago = timezone.now() - HOUR / 2
    Media.objects.update(last_used_at=half_an_hour_ago, expires_at=media_services.expiry() - HOUR / 2)
    message = send(alice.client, instance, type="document", text=None, document={"id": media.id}, **far)
    assert Media.objects.filter(expires_at__gt=timezone.now() + timedelta(days=30)).exists()
    long_ago = timezone.now() - timedelta(days=20)
    Media.objects.update(last_used_at=long_ago, expires_at=timezone.now() + timedelta(days=10))
    alice.client.patch(f"/api/messages/{message.json()['id']}", far, format="json")
    assert Media.objects.filter(expires_at__gt=timezone.now() + timedelta(days=30)).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("status", WAITING)
def test_what_has_not_left_can_be_cancelled_and_does_not_count(alice: Person, instance: Instance, status: str) -> None:
    message_id = send(alice.client, instance).json()["id"]
    Message.objects.update(status=status)
    for _ in range(2):
        answer = alice.client.delete(f"/api/messages/{message_id}")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (types(), used()) == (["message.queued", "message.cancelled"], 0)
    assert scheduling.release_due() == set()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "status", sorted(set(Status.values) - {"scheduled", "preparing", "held", "queued", "cancelled"})
)
def test_what_has_left_or_ended_cannot_be_cancelled(alice: Person, instance: Instance, status: str) -> None:
    message_id = send(alice.client, instance).json()["id"]
    Message.objects.update(status=status)
    problem = assert_problem(alice.client.delete(f"/api/messages/{message_id}"), 409, "message_already_sent")
    assert problem["detail"] == f"The message is {status}."
    assert used() == 1


@pytest.mark.django_db
def test_an_album_is_cancelled_with_what_of_it_has_not_left(instance: Instance, make_message: MakeMessage) -> None:
    album = make_message(instance, type="album", content={})
    left, waits = (make_message(instance, type="image", content={}, status=one) for one in ("sent", "preparing"))
    album.content = {"items": [{"message_id": one.id, "type": "image"} for one in (left, waits)]}
    album.save()
    scheduling.cancel(message=album)
    assert list(Message.objects.order_by("id").values_list("status", flat=True)) == ["cancelled", "sent", "cancelled"]


@pytest.mark.django_db
def test_rita_and_charlie_cancel_nothing(rita: Person, charlie: Person, due: Message) -> None:
    assert_problem(rita.client.delete(f"/api/messages/{due.id}"), 403, "permission_denied")
    assert_problem(charlie.client.delete(f"/api/messages/{due.id}"), 404, "not_found")
    due.refresh_from_db()
    assert due.status == "scheduled"


def test_a_message_is_either_cancelled_or_claimed(
    write: Write, alice: Person, held: Instance, make_message: MakeMessage
) -> None:
    for _ in range(5):
        row = make_message(held)
        answers: list[int] = []

        def cancel(path: str = f"/api/messages/{row.id}", answers: list[int] = answers) -> None:
            try:
                answers.append(alice.client.delete(path).status_code)
            finally:
                connection.close()

        thread = threading.Thread(target=cancel)
        thread.start()
        (claimed,) = write(Claim(1))
        thread.join()
        row.refresh_from_db()
        assert (answers, [one.id for one in claimed.messages], row.status) in (
            ([200], [], "cancelled"),
            ([409], [row.id], "sending"),
        )


@pytest.mark.django_db
def test_nothing_that_waits_goes_out_from_another_number(instance: Instance, make_message: MakeMessage) -> None:
    for status in WAITING:
        make_message(instance, status=status)
    assert len(fail_waiting(instance)) == 4
    assert set(Message.objects.values_list("status", "error_code")) == {("failed", "number_changed")}

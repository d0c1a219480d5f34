"""When a broadcast waits, and what brings it back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from accounts.organizations import resume, suspend
from broadcasts import ending, feeding, triggers
from broadcasts.models import Broadcast, Recipient
from broadcasts.quiet_hours import QuietHours
from broadcasts.tests.conftest import Make, feed, number, to
from conftest import Person, assert_problem
from instances.models import Instance
from messaging.models import Message
from messaging.tests.test_quota import limit, used
from webhooks.models import Event

pytestmark = pytest.mark.django_db


def told() -> list[str]:
    rows = Event.objects.filter(type__startswith="broadcast.").order_by("timestamp", "sequence")
    return [type_.removeprefix("broadcast.") for type_ in rows.values_list("type", flat=True)]


def state(made: dict[str, Any]) -> tuple[str, str | None]:
    row = Broadcast.objects.get(pk=made["id"])
    return row.state, row.reason


def test_a_used_up_quota_pauses_it_until_there_is_more(alice: Person, make: Make) -> None:
    limit(alice, 2)
    made = make(recipients=to(1, 2, 3, 4))
    feed()
    assert state(made) == ("paused", "quota_exceeded")
    for _ in range(3):
        feed(made["id"])
    assert Message.objects.count() == used(alice) == 2
    assert told() == ["started", "paused"]
    limit(alice, 10, used=2)
    feed(made["id"])
    assert state(made) == ("running", None)
    assert Message.objects.count() == used(alice) == 4
    assert told() == ["started", "paused", "resumed"]


def test_a_stopped_instance_pauses_it_until_it_is_back(make: Make, instance: Instance) -> None:
    made = make()
    Instance.objects.update(wanted="stopped", state="stopped")
    feed()
    feed(made["id"])
    assert state(made) == ("paused", "instance_stopped")
    assert told() == ["started", "paused"]
    Instance.objects.update(wanted="connected", state="connected")
    feed(made["id"])
    assert state(made) == ("running", None)
    assert Message.objects.count() == 3


def test_who_pauses_what_waits_keeps_it_paused(alice: Person, make: Make) -> None:
    limit(alice, 0)
    made = make()
    feed()
    assert alice.client.post(f"/api/broadcasts/{made['id']}/pause").json()["reason"] == "user"
    limit(alice, 10)
    feed(made["id"])
    assert state(made) == ("paused", "user")
    assert not Message.objects.exists()


def test_a_suspended_organization_sends_nothing(alice: Person, make: Make) -> None:
    make()
    suspend(organization=alice.organization, reason="operator")
    Instance.objects.update(wanted="connected", state="connected")
    feed()
    assert not Message.objects.exists()
    resume(organization=alice.organization)
    feed()
    assert Message.objects.count() == 3


def test_it_starts_at_its_time(alice: Person, make: Make) -> None:
    soon = timezone.now() + timedelta(hours=1)
    made = make(start_at=soon.isoformat())
    assert (made["state"], made["started_at"]) == ("scheduled", None)
    feed()
    assert state(made) == ("scheduled", None)
    address = f"/api/broadcasts/{made['id']}"
    assert alice.client.post(f"{address}/pause").json()["state"] == "paused"
    feed(made["id"])
    assert alice.client.post(f"{address}/resume").json()["state"] == "scheduled"
    feed(made["id"])  # its time has come
    feed()
    assert state(made) == ("running", None)
    assert Message.objects.count() == 3
    assert told() == ["paused", "started"]


def test_one_whose_time_has_passed_starts_at_once(make: Make) -> None:
    assert make(start_at="2020-01-01T00:00:00Z")["state"] == "running"


def test_a_paced_one_sends_so_many_a_minute(make: Make) -> None:
    before = timezone.now()
    made = make(recipients=to(*range(30)), pacing={"per_minute": 1})
    feed()
    assert Message.objects.count() == 1
    row = Broadcast.objects.get()
    assert row.next_at is not None
    assert before <= row.next_at - timedelta(minutes=1) <= timezone.now()
    feed()
    assert Message.objects.count() == 1
    feed(made["id"])  # as if it had not been fed for years: that is not made up for
    assert Message.objects.count() == 2


def test_in_quiet_hours_nothing_is_sent(make: Make) -> None:
    now = timezone.now()
    hours = {"from": f"{now - timedelta(hours=1):%H:%M}", "to": f"{now + timedelta(hours=1):%H:%M}", "timezone": "UTC"}
    made = make(quiet_hours=hours)
    assert made["quiet_hours"] == hours
    feed()
    assert not Message.objects.exists()
    assert state(made) == ("running", None)
    Broadcast.objects.update(quiet_hours=hours | {"from": hours["to"], "to": hours["from"]})
    feed(made["id"])
    assert Message.objects.count() == 3


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-06-01T18:59:00", None),  # 20:59 in Berlin
        ("2026-06-01T19:00:00", "2026-06-02T00:30:00"),
        ("2026-06-02T00:29:59", "2026-06-02T00:30:00"),
        ("2026-06-02T00:30:00", None),
        ("2027-03-28T00:59:00", "2027-03-28T01:30:00"),  # the clock goes from 02:00 to 03:00
        ("2027-03-28T01:00:00", None),
        ("2026-10-25T00:29:00", "2026-10-25T01:30:00"),  # it goes from 03:00 back to 02:00
        ("2026-10-25T01:00:00", "2026-10-25T01:30:00"),
        ("2026-10-25T01:30:00", None),
    ],
)
def test_quiet_hours_go_by_the_clocks_of_their_zone(now: str, end: str | None) -> None:
    hours = QuietHours.of({"from": "21:00", "to": "02:30", "timezone": "Europe/Berlin"})
    expected = datetime.fromisoformat(end).replace(tzinfo=UTC) if end else None
    assert hours.ends_after(datetime.fromisoformat(now).replace(tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"quiet_hours": {"from": "21:00", "to": "21:00", "timezone": "UTC"}}, "/quiet_hours"),
        ({"quiet_hours": {"from": "24:00", "to": "21:00", "timezone": "UTC"}}, "/quiet_hours/from"),
        ({"quiet_hours": {"from": "20:00", "to": "21:00", "timezone": "Mars/Base"}}, "/quiet_hours/timezone"),
        ({"quiet_hours": {"from": "20:00", "to": "21:00", "timezone": "../etc/passwd"}}, "/quiet_hours/timezone"),
        ({"pacing": {"per_minute": 0}}, "/pacing/per_minute"),
        ({"start_at": "2999-01-01T00:00:00Z"}, "/start_at"),
        ({"recipients": []}, "/recipients"),
        ({"recipients": [{}] * 10_001}, "/recipients"),
        ({"instances": []}, "/instances"),
        ({"message": None}, "/template_id"),
    ],
)
def test_what_cannot_be_is_refused(alice: Person, instance: Instance, fields: dict[str, Any], pointer: str) -> None:
    body = {"instance": instance.id, "message": {"text": {"body": "Hello"}}, "recipients": to(1)} | fields
    body = {name: value for name, value in body.items() if value is not None}
    if "instances" in fields:
        del body["instance"]
    problem = assert_problem(alice.client.post("/api/broadcasts", body, format="json"), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == pointer


def test_instances_of_two_networks_do_not_go_together(alice: Person, make_instance: Any) -> None:
    ids = [make_instance(alice).id, make_instance(alice, network="whatsapp").id]
    body = {"instances": ids, "message": {"text": {"body": "Hello"}}, "recipients": to(1)}
    problem = assert_problem(alice.client.post("/api/broadcasts", body, format="json"), 400, "invalid_request")
    assert problem["errors"][0]["code"] == "network"


def test_running_broadcasts_take_turns(make: Make) -> None:
    large = make(recipients=to(*range(100)), name="large")
    small = make(recipients=[{"to": number(serial)} for serial in (200, 201)], name="small")
    feed()
    of = Recipient.objects.exclude(state="pending").values_list("broadcast_id", flat=True)
    assert list(of).count(large["id"]) == feeding.BATCH
    assert list(of).count(small["id"]) == 2


def test_one_whose_lanes_are_full_goes_behind_the_others(make: Make) -> None:
    full = make(recipients=to(*range(feeding.WINDOW + 1)))
    for _ in range(2):
        feed(full["id"])
    assert Message.objects.count() == feeding.WINDOW
    before = timezone.now()
    feed(full["id"])
    assert Message.objects.count() == feeding.WINDOW
    assert Broadcast.objects.filter(next_at__gt=before).exists()


def test_one_that_fails_does_not_stop_the_others(make: Make) -> None:
    broken, good = make(name="broken"), make(name="good")
    Broadcast.objects.filter(pk=broken["id"]).update(quiet_hours={"no": "hours"})
    feed()
    assert Message.objects.count() == 3
    assert Broadcast.objects.get(pk=broken["id"]).next_at > timezone.now()
    assert state(good) == ("running", None)


def test_a_message_that_is_refused_for_good_is_a_failure(make: Make, alice: Person) -> None:
    made = make(recipients=to(1, 2))
    Recipient.objects.filter(to__startswith=number(1)).update(variables={"name": "x" * 100_000})
    feed()
    (failed,) = alice.client.get(f"/api/broadcasts/{made['id']}/recipients?state=failed").json()["results"]
    assert failed["error"]["code"] == "invalid_request"
    assert Message.objects.count() == 1


def test_a_purged_message_leaves_its_recipient_as_it_was(alice: Person, make: Make) -> None:
    made = make(recipients=to(1))
    feed()
    Message.objects.update(status="delivered")
    Message.objects.all().delete()
    (found,) = alice.client.get(f"/api/broadcasts/{made['id']}/recipients").json()["results"]
    assert (found["state"], found["sent_at"]) == ("delivered", None)
    feed(made["id"])
    assert state(made) == ("completed", None)


def test_what_is_being_sent_while_it_is_cancelled_is_cancelled_when_it_comes_back(alice: Person, make: Make) -> None:
    made = make(recipients=to(1))
    feed()
    Message.objects.update(status="sending")
    alice.client.post(f"/api/broadcasts/{made['id']}/cancel")
    feed(made["id"])
    assert Recipient.objects.get().state == "sending"
    Message.objects.update(status="queued")  # it has not left
    feed(made["id"])
    assert Message.objects.get().status == "cancelled"
    assert Broadcast.objects.get().next_at is None
    assert not ending.unsent(Broadcast.objects.get()).exists()


def test_statuses_are_copied_again_after_migrations(make: Make) -> None:
    make(recipients=to(1))
    feed()
    triggers.drop(connection.alias)
    triggers.create(connection.alias)
    triggers.create(connection.alias)
    Message.objects.update(status="read")
    assert Recipient.objects.get().state == "read"


def test_many_feeders_and_a_pause_neither_lose_nor_double(committed: None, alice: Person, make: Make) -> None:
    made = [make(recipients=to(*range(60))) for _ in range(2)]
    stop = threading.Event()

    def run() -> None:
        try:
            while not stop.is_set():
                feeding.turns()
        finally:
            connections.close_all()

    feeders = [threading.Thread(target=run) for _ in range(4)]
    for feeder in feeders:
        feeder.start()
    address = f"/api/broadcasts/{made[0]['id']}"
    deadline = timezone.now() + timedelta(seconds=60)
    while Broadcast.objects.exclude(state="completed").exists():
        assert timezone.now() < deadline
        Message.objects.filter(status="queued").update(status="sent")
        if Recipient.objects.filter(broadcast=made[0]["id"], state="pending").exists():
            assert alice.client.post(f"{address}/pause").status_code == 200
            assert alice.client.post(f"{address}/resume").status_code == 200
        Broadcast.objects.filter(next_at__gt=timezone.now()).update(next_at=timezone.now())
    stop.set()
    for feeder in feeders:
        feeder.join()
    assert Message.objects.count() == used(alice) == 120
    assert Recipient.objects.filter(state="sent").values("message").distinct().count() == 120

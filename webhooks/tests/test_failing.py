"""From the first failure to the end of an endpoint, and back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail as outbox
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import mail
from accounts.models import Mail
from audit.models import Entry
from conftest import Person
from webhooks import failing, tasks
from webhooks.dispatcher import Dispatcher
from webhooks.events import append
from webhooks.models import Delivery, Endpoint, Event
from webhooks.tests.conftest import Receiver, wait_for
from webhooks.tests.test_deliveries import commit

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def endpoint(alice: Person) -> Endpoint:
    url = "https://shop.example.org/secret/path?token=planted"
    return Endpoint.objects.create(organization=alice.organization, url=url, events=["*"], description="Shop")


@pytest.fixture
def watcher(alice: Person) -> Endpoint:
    """Another endpoint of Alice's, that hears what becomes of the first."""
    return Endpoint.objects.create(organization=alice.organization, url="https://example.org", events=["webhook.*"])


def attempted(endpoint: Endpoint, *, succeeded: bool = False, gone: bool = False, now: datetime | None = None) -> bool:
    with transaction.atomic():
        moment = now or timezone.now()
        return failing.after_attempts(endpoint_id=endpoint.id, succeeded=succeeded, gone=gone, now=moment)


def failing_for(endpoint: Endpoint, elapsed: timedelta, warnings: int = 0, warned: timedelta | None = None) -> None:
    """Turn the clock: the first failure was so long ago, and the last warning."""
    now = timezone.now()
    Endpoint.objects.filter(pk=endpoint.pk).update(
        failing_since=now - elapsed, warnings=warnings, warned_at=None if warned is None else now - warned
    )


def sweep() -> list[tuple[str, Any]]:
    """What the organization is told by a turn of the sweeper."""
    before = set(Event.objects.values_list("pk", flat=True))
    for endpoint_id in failing.due(timezone.now()):
        failing.advance(endpoint_id=endpoint_id)
    return [(event.type, event.data["state"]) for event in Event.objects.exclude(pk__in=before).order_by("pk")]


def letters() -> list[Mail]:
    return list(Mail.objects.filter(kind__startswith="webhook_"))


def test_the_first_failure_is_kept_and_a_success_ends_it_without_a_word(endpoint: Endpoint) -> None:
    first = timezone.now() - HOUR / 2
    assert attempted(endpoint, now=first)
    assert attempted(endpoint)
    endpoint.refresh_from_db()
    assert endpoint.failing_since == first
    assert attempted(endpoint, succeeded=True)
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None
    assert not Event.objects.exists()


@pytest.mark.parametrize("succeeded", [True, False])
def test_while_nothing_changes_one_statement_is_enough(endpoint: Endpoint, succeeded: bool) -> None:
    attempted(endpoint, succeeded=succeeded)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        failing.after_attempts(endpoint_id=endpoint.id, succeeded=succeeded, gone=False, now=timezone.now())
    assert len(queries) == 1


def test_warnings_come_after_an_hour_a_day_and_three_days_each_once(endpoint: Endpoint) -> None:
    for elapsed, told in (
        (HOUR - timedelta(minutes=1), 0), (HOUR, 1), (2 * HOUR, 0), (DAY, 1), (2 * DAY, 0), (3 * DAY, 1), (4 * DAY, 0),
    ):  # fmt: skip
        Endpoint.objects.update(failing_since=timezone.now() - elapsed)
        assert sweep() == told * [("webhook.failing", "failing")], elapsed
        assert sweep() == []
    endpoint.refresh_from_db()
    assert (endpoint.warnings, endpoint.enabled) == (3, True)


def test_after_five_days_it_is_disabled_and_that_is_told_and_recorded(endpoint: Endpoint) -> None:
    failing_for(endpoint, 5 * DAY, warnings=3, warned=2 * DAY)
    assert sweep() == [("webhook.disabled", "disabled")]
    assert sweep() == []
    endpoint.refresh_from_db()
    assert (endpoint.enabled, endpoint.disabled_code) == (False, "receiver_failing")
    assert endpoint.disabled_at is not None
    entry = Entry.objects.get(subject=endpoint.id)
    assert entry.changes == {"enabled": [True, False], "reason": "receiver_failing"}


def test_nobody_is_disabled_without_a_warning_the_day_before_however_long_we_were_away(endpoint: Endpoint) -> None:
    failing_for(endpoint, 30 * DAY)
    assert sweep() == [("webhook.failing", "failing")]
    event = Event.objects.get()
    assert event.data["disables_at"] > (timezone.now() + DAY - HOUR).isoformat()
    assert sweep() == []
    Endpoint.objects.update(warned_at=timezone.now() - DAY)
    assert sweep() == [("webhook.disabled", "disabled")]


def test_a_success_after_a_warning_is_told_once(endpoint: Endpoint) -> None:
    failing_for(endpoint, DAY, warnings=2, warned=HOUR)
    attempted(endpoint, succeeded=True)
    attempted(endpoint, succeeded=True)
    assert [(event.type, event.data["state"]) for event in Event.objects.all()] == [("webhook.recovered", "active")]
    failing_for(endpoint, HOUR)
    assert sweep() == [("webhook.failing", "failing")]


def test_410_disables_at_once_and_only_once(endpoint: Endpoint) -> None:
    assert attempted(endpoint, gone=True, succeeded=True) is False
    assert attempted(endpoint, gone=True) is False
    assert [event.data["reason"] for event in Event.objects.all()] == ["receiver_gone"]


def test_a_disabled_endpoint_neither_warns_nor_recovers(endpoint: Endpoint) -> None:
    failing_for(endpoint, 6 * DAY, warnings=3, warned=2 * DAY)
    Endpoint.objects.update(enabled=False)
    assert sweep() == []
    assert attempted(endpoint, succeeded=True) is False
    assert not Event.objects.exists()


def test_other_endpoints_hear_of_it_and_the_failing_one_does_not(endpoint: Endpoint, watcher: Endpoint) -> None:
    failing_for(endpoint, HOUR)
    sweep()
    (delivery,) = Delivery.objects.all()
    assert delivery.endpoint_id == watcher.id


def test_what_is_told_names_the_host_and_never_the_path(endpoint: Endpoint) -> None:
    failing_for(endpoint, HOUR)
    sweep()
    event = Event.objects.get()
    assert event.instance_id is None
    assert (event.data["webhook"], event.data["host"]) == (endpoint.id, "shop.example.org")
    assert "planted" not in str(event.data)
    assert "secret" not in str(event.data)


def test_owners_and_admins_get_an_e_mail_once(endpoint: Endpoint, alice: Person, bob: Person, rita: Person) -> None:
    failing_for(endpoint, HOUR)
    sweep()
    (row,) = letters()
    assert (row.kind, row.to) == ("webhook_failing", alice.user.email)
    assert mail.send(mail_id=row.id)
    assert not mail.send(mail_id=row.id)
    (letter,) = outbox.outbox
    assert letter.subject == "The webhook endpoint at shop.example.org fails"
    for words in ("Alice", endpoint.id, "Shop", "disabled at"):
        assert words in letter.body
    assert "planted" not in letter.body


@pytest.mark.parametrize(
    ("act", "subject", "words"),
    [
        ("gone", "The webhook endpoint at shop.example.org is disabled", "answered 410 Gone"),
        ("recovered", "The webhook endpoint at shop.example.org answers again", "An attempt succeeded."),
    ],
)
def test_each_kind_of_e_mail_says_what_happened(endpoint: Endpoint, act: str, subject: str, words: str) -> None:
    failing_for(endpoint, DAY, warnings=2, warned=HOUR)
    attempted(endpoint, gone=act == "gone", succeeded=act == "recovered")
    mail.send(mail_id=letters()[0].id)
    (letter,) = outbox.outbox
    assert letter.subject == subject
    assert words in letter.body


def test_an_e_mail_of_an_event_that_is_kept_no_more_is_not_sent(endpoint: Endpoint) -> None:
    failing_for(endpoint, HOUR)
    sweep()
    Event.objects.all().delete()
    assert not mail.send(mail_id=letters()[0].id)
    assert outbox.outbox == []


def test_the_sweeper_warns(endpoint: Endpoint) -> None:
    failing_for(endpoint, HOUR)
    tasks.sweep()
    assert Event.objects.get().type == "webhook.failing"


def test_attempts_over_http_lead_to_all_this(
    dispatcher: Dispatcher, hook: Endpoint, receiver: Receiver, draft: Any
) -> None:
    receiver.answer = lambda number, path: (500, {}, b"")
    commit(draft())
    dispatcher.wake(hook.id)
    wait_for(lambda: Endpoint.objects.get().failing_since)
    failing_for(hook, HOUR)
    sweep()
    receiver.answer = lambda number, path: (200, {}, b"")
    commit(draft())
    dispatcher.wake(hook.id)
    wait_for(lambda: Event.objects.filter(type="webhook.recovered").exists())
    assert Endpoint.objects.get().failing_since is None


def test_two_that_see_the_same_tell_it_once(endpoint: Endpoint) -> None:
    failing_for(endpoint, HOUR)
    first, second = failing.due(timezone.now()), failing.due(timezone.now())
    assert first == second == [endpoint.id]
    for endpoint_id in first + second:
        failing.advance(endpoint_id=endpoint_id)
    assert Event.objects.count() == 1


def test_an_event_for_everybody_still_comes(endpoint: Endpoint, draft: Any) -> None:
    append([draft()])
    assert Delivery.objects.get().endpoint_id == endpoint.id

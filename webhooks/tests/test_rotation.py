from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from audit.models import Entry
from conftest import Person, assert_problem
from webhooks.dispatcher import Dispatcher
from webhooks.models import Endpoint
from webhooks.tests.conftest import Receiver, wait_for
from webhooks.tests.test_api import create
from webhooks.tests.test_deliveries import commit


def rotate(person: Person, endpoint_id: str, **body: Any) -> Any:
    return person.client.post(f"/api/webhooks/{endpoint_id}/rotate-secret", body, format="json")


def own_secret(size: int) -> str:
    return f"whsec_{base64.b64encode(size * b'k').decode()}"


def test_a_new_secret_is_shown_this_once_and_the_old_one_signs_for_a_day(alice: Person) -> None:
    created = create(alice)
    answer = rotate(alice, created["id"])
    assert answer.status_code == 200
    secret = answer.json()["secret"]
    assert secret.startswith("whsec_")
    assert secret != created["secret"]
    assert "secret" not in alice.client.get(f"/api/webhooks/{created['id']}").json()
    endpoint, now = Endpoint.objects.get(), timezone.now()
    assert endpoint.secrets_at(now) == [secret, created["secret"]]
    assert endpoint.secrets_at(now + timedelta(hours=23, minutes=59)) == [secret, created["secret"]]
    assert endpoint.secrets_at(now + timedelta(days=1, seconds=1)) == [secret]


def test_deliveries_are_signed_by_both_until_the_overlap_is_over(
    dispatcher: Dispatcher, alice: Person, receiver: Receiver, draft: Any
) -> None:
    created = create(alice, url=receiver.url)
    new = rotate(alice, created["id"], overlap_seconds=3600).json()["secret"]
    commit(draft())
    dispatcher.wake(created["id"])
    wait_for(lambda: receiver.requests)
    request = receiver.requests[0]
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (created["secret"], new):
        Webhook(secret).verify(request.body, request.headers)
    Endpoint.objects.update(old_secrets=[[created["secret"], timezone.now().timestamp() - 1]])
    commit(draft())
    dispatcher.wake(created["id"])
    wait_for(lambda: len(receiver.requests) == 2)
    Webhook(new).verify(receiver.requests[1].body, receiver.requests[1].headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(created["secret"]).verify(receiver.requests[1].body, receiver.requests[1].headers)


def test_without_an_overlap_the_old_secret_is_gone_at_once(alice: Person) -> None:
    created = create(alice)
    new = rotate(alice, created["id"], overlap_seconds=0).json()["secret"]
    assert Endpoint.objects.get().secrets_at(timezone.now()) == [new]
    assert Endpoint.objects.get().old_secrets == []


@pytest.mark.parametrize("size", [24, 25, 26, 32, 64])
def test_a_secret_of_ones_own_is_taken(alice: Person, size: int) -> None:
    created = create(alice)
    assert rotate(alice, created["id"], secret=own_secret(size)).json()["secret"] == own_secret(size)
    assert Endpoint.objects.get().secret == own_secret(size)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"secret": own_secret(23)}, "/secret"),
        ({"secret": own_secret(65)}, "/secret"),
        ({"secret": own_secret(24).removeprefix("whsec_")}, "/secret"),
        ({"secret": "whsec_not base64 at all, is it?........"}, "/secret"),
        ({"secret": own_secret(25).rstrip("=")}, "/secret"),
        ({"secret": "whsec_äääääääääääääääääääääääääääääääää"}, "/secret"),
        ({"secret": 7}, "/secret"),
        ({"overlap_seconds": -1}, "/overlap_seconds"),
        ({"overlap_seconds": 604801}, "/overlap_seconds"),
        ({"overlap_seconds": "1"}, "/overlap_seconds"),
        ({"old": "x"}, "/old"),
    ],
)
def test_a_bad_request_changes_nothing(alice: Person, body: dict[str, Any], pointer: str) -> None:
    created = create(alice)
    refused = assert_problem(rotate(alice, created["id"], **body), 400, "invalid_request")
    assert [error["pointer"] for error in refused["errors"]] == [pointer]
    assert Endpoint.objects.get().secret == created["secret"]


def test_a_secret_that_signs_already_is_refused(alice: Person) -> None:
    created = create(alice)
    rotate(alice, created["id"])
    for secret in (created["secret"], Endpoint.objects.get().secret):
        refused = assert_problem(rotate(alice, created["id"], secret=secret), 400, "invalid_request")
        assert refused["errors"][0]["code"] == "secret_in_use"


def test_ten_old_secrets_are_the_most_and_the_refusal_says_when_the_next_expires(alice: Person) -> None:
    created = create(alice)
    for _ in range(10):
        assert rotate(alice, created["id"], overlap_seconds=3600).status_code == 200
    answer = rotate(alice, created["id"], overlap_seconds=3600)
    refused = assert_problem(answer, 409, "too_many_secrets")
    assert refused["limit"] == 10
    assert refused["expires_at"] in refused["detail"]
    assert 3500 < int(answer["Retry-After"]) <= 3601
    assert rotate(alice, created["id"], overlap_seconds=0).status_code == 200
    endpoint = Endpoint.objects.get()
    past = timezone.now().timestamp() - 1
    Endpoint.objects.update(old_secrets=[[old, past] for old, _ in endpoint.old_secrets])
    assert rotate(alice, created["id"]).status_code == 200
    assert len(Endpoint.objects.get().old_secrets) == 1


def test_the_same_key_gives_the_same_secret_again(alice: Person) -> None:
    created = create(alice)
    path = f"/api/webhooks/{created['id']}/rotate-secret"
    first, second = (alice.client.post(path, {}, format="json", HTTP_IDEMPOTENCY_KEY="k-1") for _ in range(2))
    assert first.json()["secret"] == second.json()["secret"] == Endpoint.objects.get().secret
    assert len(Endpoint.objects.get().old_secrets) == 1


def test_it_is_recorded_without_a_secret(alice: Person) -> None:
    created = create(alice)
    new = rotate(alice, created["id"], overlap_seconds=60).json()["secret"]
    entry = Entry.objects.get(tag="api:webhook:secret_rotated")
    assert entry.changes == {"overlap_seconds": 60}
    everything = str(list(Entry.objects.values()))
    assert created["secret"] not in everything
    assert new not in everything


def test_a_deleted_endpoint_is_gone(alice: Person) -> None:
    created = create(alice)
    alice.client.delete(f"/api/webhooks/{created['id']}")
    assert_problem(rotate(alice, created["id"]), 404, "not_found")

from __future__ import annotations

from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook

from conftest import Person, assert_problem
from webhooks.catalogue import TYPES, contents
from webhooks.dispatcher import Dispatcher
from webhooks.models import Delivery, Endpoint, Event
from webhooks.tests.conftest import Receiver, wait_for
from webhooks.tests.test_api import create
from webhooks.tests.test_deliveries import commit


def test_a_test_event_goes_to_one_endpoint_whatever_it_wants_on_the_normal_path(
    dispatcher: Dispatcher, alice: Person, receiver: Receiver
) -> None:
    mine = create(alice, url=receiver.url, events=["message.received"], chat_kinds=["group"])
    other = create(alice, url=receiver.url)
    answer = alice.client.post(f"/api/webhooks/{mine['id']}/test")
    assert answer.status_code == 202
    delivery = answer.json()
    assert (delivery["webhook"], delivery["event"]["type"]) == (mine["id"], "webhook.test")
    assert delivery["event"]["data"] == {"test": True, "webhook": mine["id"]}
    assert not Delivery.objects.filter(endpoint=other["id"]).exists()
    dispatcher.wake(mine["id"])
    wait_for(lambda: Delivery.objects.get().state == "succeeded")
    (request,) = receiver.requests
    assert orjson.loads(request.body) == delivery["event"]
    Webhook(mine["secret"]).verify(request.body, request.headers)
    shown = alice.client.get(f"/api/webhooks/{mine['id']}/deliveries/{delivery['id']}").json()
    assert [attempt["status"] for attempt in shown["attempts"]] == [200]
    assert shown["attempts"][0]["request_id"] == request.headers["x-request-id"]


@pytest.mark.parametrize(("mode", "network"), [("test", "sandbox"), ("live", "whatsapp")])
def test_a_test_event_belongs_to_the_network_of_its_endpoint(alice: Person, mode: str, network: str) -> None:
    program = alice.program(mode=mode)
    created = program.post("/api/webhooks", {"url": "https://example.org", "events": ["*"]}, format="json").json()
    assert program.post(f"/api/webhooks/{created['id']}/test").status_code == 202
    assert Event.objects.get().network == network


@pytest.mark.parametrize("type_", TYPES)
def test_any_type_is_tried_with_its_example_and_says_that_it_is_a_test(alice: Person, type_: str) -> None:
    mine, other = create(alice, events=["webhook.test"]), create(alice)
    answer = alice.client.post(f"/api/webhooks/{mine['id']}/test", {"type": type_}, format="json")
    event = answer.json()["event"]
    assert (answer.status_code, event["type"], event["instance"]) == (202, type_, None)
    if type_ != "webhook.test":
        assert event["data"] == {**contents()[type_].example, "test": True}
    assert not Delivery.objects.filter(endpoint=other["id"]).exists()


@pytest.mark.parametrize(("body", "pointer"), [({"type": "message.*"}, "/type"), ({"kind": "x"}, "/kind")])
def test_a_bad_request_sends_nothing(alice: Person, body: dict[str, Any], pointer: str) -> None:
    path = f"/api/webhooks/{create(alice)['id']}/test"
    refused = assert_problem(alice.client.post(path, body, format="json"), 400, "invalid_request")
    assert [error["pointer"] for error in refused["errors"]] == [pointer]
    assert not Event.objects.exists()


def test_a_disabled_endpoint_is_not_tried(alice: Person) -> None:
    created = create(alice, enabled=False)
    assert_problem(alice.client.post(f"/api/webhooks/{created['id']}/test"), 409, "webhook_disabled")
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    "path", ["/api/webhooks/{webhook}/deliveries/{delivery}/resend", "/api/deliveries/{delivery}/resend"]
)
def test_a_delivery_is_sent_once_more(
    dispatcher: Dispatcher, alice: Person, hook: Endpoint, receiver: Receiver, draft: Any, path: str
) -> None:
    commit(draft())
    dispatcher.wake(hook.id)
    wait_for(lambda: Delivery.objects.get().state == "succeeded")
    delivery = Delivery.objects.get()
    answer = alice.client.post(path.format(webhook=hook.id, delivery=delivery.id))
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    dispatcher.wake(hook.id)
    wait_for(lambda: len(receiver.requests) == 2)
    first, second = receiver.requests
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


def test_what_is_open_stays_as_it_is(alice: Person, hook: Endpoint, draft: Any) -> None:
    commit(draft())
    before = Delivery.objects.values().get()
    answer = alice.client.post(f"/api/deliveries/{before['id']}/resend")
    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    assert Delivery.objects.values().get() == before


def test_nothing_is_resent_to_a_disabled_endpoint(alice: Person, hook: Endpoint, draft: Any) -> None:
    commit(draft())
    Endpoint.objects.update(enabled=False)
    path = f"/api/deliveries/{Delivery.objects.get().id}/resend"
    assert_problem(alice.client.post(path), 409, "webhook_disabled")


def test_charlie_gets_the_same_404_for_a_delivery_of_alices_and_for_none(
    alice: Person, charlie: Person, hook: Endpoint, draft: Any
) -> None:
    commit(draft())
    for delivery in (Delivery.objects.get().id, "dlv_01h455vb4pex5vsknk084sn02q", "nonsense"):
        assert_problem(charlie.client.post(f"/api/deliveries/{delivery}/resend"), 404, "not_found")
        for path in (
            f"/api/webhooks/{hook.id}/deliveries/{delivery}",
            f"/api/webhooks/{hook.id}/deliveries/{delivery}/resend",
        ):
            call = charlie.client.post if path.endswith("resend") else charlie.client.get
            assert_problem(call(path), 404, "not_found")

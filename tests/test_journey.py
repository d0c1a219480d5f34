"""One number, one message, end to end, over the public API alone."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from stack.testing import RunningStack
from tests.product import Api, Receiver, new_number, wait_for

pytestmark = pytest.mark.end_to_end


def test_a_message_is_sent_delivered_read_and_answered(acme: Api) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    sent = acme.send(instance, f"+{carla}", "Hello Carla")

    (got,) = wait_for(lambda: acme.received(carla))
    assert (got["from"], got["text"], got["type"]) == (number, "Hello Carla", "text")
    wait_for(lambda: acme.message(sent)["status"] == "delivered")
    acme.post(f"/sandbox/phones/{carla}/messages/{got['id']}/read", expect=200)
    wait_for(lambda: acme.message(sent)["status"] == "read")

    acme.write(carla, number, "Hello Acme")
    (answer,) = wait_for(lambda: [m for m in acme.messages(instance=instance) if m["direction"] == "inbound"])
    assert answer["text"] == {"body": "Hello Acme"}
    assert (answer["from"]["phone"], answer["from"]["name"]) == (carla, "Carla")
    assert {m["id"] for m in acme.messages(instance=instance, chat=carla)} == {sent, answer["id"]}


def test_a_linked_instance_knows_its_number(acme: Api) -> None:
    instance, number = acme.linked()
    shown = acme.get(f"/instances/{instance}")
    assert (shown["phone"], shown["jid"]) == (number, f"{number}@s.whatsapp.net")
    assert shown["lid"].endswith("@lid")


def test_a_number_is_linked_by_typing_a_pairing_code(acme: Api) -> None:
    phone, instance = acme.phone("Acme"), acme.instance()
    acme.post(f"/instances/{instance}/pairing-code", {"phone": phone}, expect=202)
    code = wait_for(lambda: acme.get(f"/instances/{instance}/pairing-code")["code"], 60, "a pairing code")
    acme.post(f"/sandbox/phones/{phone}/enter-code", {"code": code}, expect=202)
    assert acme.wait_for_state(instance, "connected")["phone"] == phone


def test_a_wrong_pairing_code_links_nothing(acme: Api) -> None:
    phone, instance = acme.phone("Acme"), acme.instance()
    acme.post(f"/instances/{instance}/pairing-code", {"phone": phone}, expect=202)
    wait_for(lambda: acme.get(f"/instances/{instance}/pairing-code")["code"], 60, "a pairing code")
    problem = acme.post(f"/sandbox/phones/{phone}/enter-code", {"code": "AAAA-AAAA"}, expect=409)
    assert problem["code"] == "wrong_code"
    assert acme.get(f"/instances/{instance}")["phone"] is None


def test_an_answer_arrives_by_signed_webhook(acme: Api, receiver: Receiver) -> None:
    hook = acme.post("/webhooks", {"url": receiver.url, "events": ["*"]})
    instance, number = acme.linked()
    receiver.wait_for("instance.connected")
    carla = acme.phone("Carla")
    acme.write(carla, number, "Hello Acme")

    headers, body, event = receiver.wait_for("message.received")
    Webhook(hook["secret"]).verify(body, headers)
    assert headers["webhook-id"] == event["id"]
    assert (event["instance"], event["data"]["text"]) == (instance, {"body": "Hello Acme"})

    def delivered() -> list[dict[str, Any]]:
        rows = acme.get(f"/webhooks/{hook['id']}/deliveries")["results"]
        return [row for row in rows if row["event"]["id"] == event["id"] and row["attempts"]]

    (delivery,) = wait_for(delivered)
    assert [attempt["status"] for attempt in delivery["attempts"]] == [204]


def test_the_sequence_of_an_instance_has_no_gap(acme: Api, receiver: Receiver) -> None:
    acme.post("/webhooks", {"url": receiver.url, "events": ["*"]})
    instance, _ = acme.linked()
    carla = acme.phone("Carla")
    for number in range(5):
        acme.send(instance, carla, str(number))
    numbers: list[int] = []
    delivered = 0
    while delivered < 5:
        event = receiver.wait_for_any()
        numbers.append(event["sequence"])
        delivered += event["type"] == "message.delivered"
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_a_number_that_is_not_on_whatsapp_fails_with_a_code(acme: Api) -> None:
    instance, _ = acme.linked()
    lost = acme.send(instance, new_number(), "Anybody?")
    failed = wait_for(lambda: (m := acme.message(lost))["status"] == "failed" and m)
    assert failed["error"]["code"] == "not_on_whatsapp"
    carla = acme.phone("Carla")
    acme.send(instance, carla, "The lane goes on")
    wait_for(lambda: acme.received(carla))


def test_a_stopped_instance_refuses_and_comes_back_without_a_scan(acme: Api) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    acme.post(f"/instances/{instance}/stop", expect=202)
    body = {"instance": instance, "to": carla, "text": {"body": "Too late"}}
    assert acme.post("/messages", body, expect=409)["code"] == "instance_stopped"
    acme.write(carla, number, "Are you there?")

    acme.connect(instance)
    acme.wait_for_state(instance, "connected")
    inbound = wait_for(lambda: [m for m in acme.messages(instance=instance) if m["direction"] == "inbound"])
    assert [m["text"]["body"] for m in inbound] == ["Are you there?"]


def test_an_image_from_a_phone_arrives_as_an_image(acme: Api) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    image = {"data": pixel, "caption": "A pixel", "mimetype": "image/png"}
    acme.post(f"/sandbox/phones/{carla}/messages", {"to": number, "image": image})
    (got,) = wait_for(lambda: [m for m in acme.messages(instance=instance) if m["direction"] == "inbound"])
    assert (got["type"], got["image"]["caption"], got["image"]["mime_type"]) == ("image", "A pixel", "image/png")


def test_another_organization_cannot_see_or_touch_any_of_it(acme: Api, charlie: Api) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    sent = acme.send(instance, carla, "Secret")
    for path in (f"/instances/{instance}", f"/messages/{sent}", f"/sandbox/phones/{carla}/messages"):
        assert charlie.call("GET", path, 404)["code"] == "not_found"
    assert charlie.post("/sandbox/phones", {"phone": carla, "name": "Mine"}, expect=409)["code"] == "phone_taken"
    assert charlie.messages() == []

    theirs, _ = charlie.linked()
    crossing = charlie.send(theirs, number, "Can you hear me?")
    wait_for(lambda: charlie.message(crossing)["status"] == "failed")
    phone = charlie.phone("Dan")
    crossing_from_phone = {"to": number, "text": "Can you hear me?"}
    assert charlie.post(f"/sandbox/phones/{phone}/messages", crossing_from_phone, expect=422)["code"]


def test_the_product_says_that_it_is_healthy_and_which_version_it_is(stack: RunningStack) -> None:
    health = httpx.get(f"{stack.address}/health")
    assert health.status_code == 200
    assert all(part["ok"] for part in health.json()["parts"].values())
    assert httpx.get(f"{stack.address}/api/version").json()["version"]

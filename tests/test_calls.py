"""A call is told, rejected by the worker, and answered with one text: API, worker, engine, network, phone."""

from __future__ import annotations

from typing import Any

import pytest

from stack.testing import RunningStack
from tests.product import Api, Control, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]


def test_a_call_is_rejected_and_its_caller_is_written_to_once(stack: RunningStack, acme: Api) -> None:
    control = Control(stack)
    instance, number = acme.linked()
    carla = acme.phone("Carla")

    def calls() -> list[dict[str, Any]]:
        return list(acme.get(f"/instances/{instance}/calls")["results"])

    def settled(call: str, status: str) -> dict[str, Any]:
        return wait_for(lambda: next((c for c in calls() if (c["wa_id"], c["status"]) == (call, status)), None))

    by_hand = control("call", phone=carla, to=number)["id"]
    rings = settled(by_hand, "ringing")
    assert (rings["from"]["phone"], rings["video"], rings["group"]) == (carla, False, False)
    answer = acme.post(f"/instances/{instance}/calls/{rings['id']}/reject", expect=200)
    assert (answer["status"], answer["reason"]) == ("rejected", "rejected")
    wait_for(lambda: [c["status"] for c in control("calls", phone=carla)] == ["rejected"])

    hung_up = control("call", phone=carla, to=number)["id"]
    settled(hung_up, "ringing")
    control("hang_up", phone=carla, id=hung_up)
    assert settled(hung_up, "ended")["reason"] == "hung_up"
    assert acme.post(f"/instances/{instance}/calls/{settled(hung_up, 'ended')['id']}/reject", expect=409)["code"] == (
        "call_ended"
    )

    wanted = {"settings": {"calls": {"reject": True, "text": "Please write."}}}
    acme.call("PATCH", f"/instances/{instance}", 200, json=wanted)
    for _ in range(2):
        rejected = control("call", phone=carla, to=number, video=True)["id"]
        assert settled(rejected, "rejected")["video"] is True
    wait_for(lambda: [c["status"] for c in control("calls", phone=carla)][2:] == ["rejected", "rejected"])
    wait_for(lambda: [m["text"] for m in acme.received(carla)] == ["Please write."])
    (text,) = acme.messages(instance=instance, origin="call")
    assert text["client_ref"] == calls()[1]["id"]

    told = [e for e in acme.get("/events", limit=100)["results"] if e["type"].startswith("call.")]
    assert [e["type"] for e in told] == ["call.received", "call.ended"] * 4
    assert [e["data"]["status"] for e in told][::2] == ["ringing", "ringing", "rejecting", "rejecting"]

"""A call is told, rejected by the worker, and answered with one text: API, worker, engine, network, phone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.product import Api, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]


def test_a_call_is_rejected_and_its_caller_is_written_to_once(acme: Api) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")

    def ring(**more: Any) -> str:
        return str(acme.post(f"/sandbox/phones/{carla}/calls", {"to": number, **more})["id"])

    def shown() -> list[str]:
        """How the caller's phone shows its calls."""
        return [one["status"] for one in acme.get(f"/sandbox/phones/{carla}/calls")["results"]]

    def calls() -> list[dict[str, Any]]:
        return list(acme.get(f"/instances/{instance}/calls")["results"])

    def settled(call: str, status: str) -> dict[str, Any]:
        return wait_for(lambda: next((c for c in calls() if (c["wa_id"], c["status"]) == (call, status)), None))

    by_hand = ring()
    rings = settled(by_hand, "ringing")
    assert (rings["from"]["phone"], rings["video"], rings["group"]) == (carla, False, False)
    answer = acme.post(f"/instances/{instance}/calls/{rings['id']}/reject", expect=200)
    assert (answer["status"], answer["reason"]) == ("rejected", "rejected")
    wait_for(lambda: shown() == ["rejected"])

    hung_up = ring()
    settled(hung_up, "ringing")
    assert acme.http.delete(f"/api/sandbox/phones/{carla}/calls/{hung_up}").status_code == 204
    over = settled(hung_up, "ended")
    assert over["reason"] == "hung_up"
    assert acme.post(f"/instances/{instance}/calls/{over['id']}/reject", expect=409)["code"] == "call_ended"

    wanted = {"settings": {"calls": {"reject": True, "text": "Please write."}}}
    acme.call("PATCH", f"/instances/{instance}", 200, json=wanted)
    for _ in range(2):
        rejected = ring(video=True)
        assert settled(rejected, "rejected")["video"] is True
    wait_for(lambda: shown() == ["rejected", "ended", "rejected", "rejected"])
    wait_for(lambda: [m["text"] for m in acme.received(carla)] == ["Please write."])
    (text,) = acme.messages(instance=instance, origin="call")
    assert text["client_ref"] == calls()[1]["id"]

    told = [e for e in acme.get("/events", limit=100)["results"] if e["type"].startswith("call.")]
    assert [e["type"] for e in told] == ["call.received", "call.ended"] * 4
    assert [e["data"]["status"] for e in told][::2] == ["ringing", "ringing", "rejecting", "rejecting"]

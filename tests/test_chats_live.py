"""Read marks and typing reach the other side: API, worker, engine, network, phone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.product import Api, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]


def inbound(acme: Api, instance: str) -> list[dict[str, Any]]:
    return [m for m in acme.messages(instance=instance, direction="inbound") if m["type"] == "text"]


def test_a_chat_is_read_typed_in_found_and_exported(acme: Api) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    for text in ("First question", "Second question"):
        acme.write(carla, number, text)
    newest, oldest = wait_for(lambda: len(rows := inbound(acme, instance)) == 2 and rows)
    (chat,) = acme.get("/chats", instance=instance)["results"]
    assert (chat["unread"], chat["name"], chat["last_message"]["id"]) == (2, "Carla", newest["id"])

    assert acme.post(f"/chats/{chat['id']}/typing", {"state": "composing"}, expect=200)["state"] == "composing"
    acme.post(f"/messages/{oldest['id']}/read", expect=200)
    assert acme.get(f"/chats/{chat['id']}")["unread"] == 1
    acme.post(f"/chats/{chat['id']}/read", expect=200)
    assert acme.get(f"/chats/{chat['id']}")["unread"] == 0

    assert [m["id"] for m in acme.messages(instance=instance, q="second")] == [newest["id"]]
    lines = acme.http.get(f"/api/chats/{chat['id']}/export").text.splitlines()
    assert len(lines) == 2

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Person, assert_problem
from phones.tests.numbers import new_number

pytestmark = pytest.mark.django_db
PIXEL = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
).decode()


@pytest.fixture
def carla(alice: Person, sandbox: Callable[..., Any]) -> str:
    """The number of a virtual phone of Alice's organization."""
    return _phone(alice, "Carla")


@pytest.fixture
def carl(alice: Person, sandbox: Callable[..., Any]) -> str:
    return _phone(alice, "Carl")


def _phone(person: Person, name: str) -> str:
    number = new_number()
    answer = person.client.post("/api/sandbox/phones", {"phone": number, "name": name}, format="json")
    assert answer.status_code == 201
    return number


def send(person: Person, number: str, **body: Any) -> Any:
    return person.client.post(f"/api/sandbox/phones/{number}/messages", body, format="json")


def received(person: Person, number: str, **query: Any) -> Any:
    return person.client.get(f"/api/sandbox/phones/{number}/messages", query)


def test_what_one_phone_writes_another_receives(bob: Person, carla: str, carl: str) -> None:
    answer = send(bob, carla, to=f"+{carl}", text="hello")
    assert answer.status_code == 201
    (row,) = received(bob, carl).json()["results"]
    assert row.items() >= {"id": answer.json()["id"], "from": carla, "type": "text", "text": "hello"}.items()


def test_an_image_is_received_with_its_caption(alice: Person, carla: str, carl: str) -> None:
    answer = send(alice, carla, to=carl, image={"data": PIXEL, "caption": "a pixel", "mimetype": "image/png"})
    assert answer.status_code == 201
    (row,) = received(alice, carl).json()["results"]
    assert row["type"] == "image"


def test_what_a_phone_has_seen_comes_in_pages(alice: Person, carla: str, carl: str) -> None:
    for text in "abc":
        send(alice, carla, to=carl, text=text)
    first = received(alice, carl, limit=2).json()
    second = received(alice, carl, limit=2, after=first["next"]).json()
    assert [row["text"] for row in first["results"] + second["results"]] == ["a", "b", "c"]
    assert second["next"] is None


def test_a_message_is_marked_as_read_once_or_twice(alice: Person, carla: str, carl: str) -> None:
    message_id = send(alice, carla, to=carl, text="hello").json()["id"]
    path = f"/api/sandbox/phones/{carl}/messages/{message_id}/read"
    for _ in range(2):
        assert alice.client.post(path).json() == {"id": message_id, "status": "read"}


def test_a_message_that_is_not_there_cannot_be_marked(alice: Person, carl: str) -> None:
    assert_problem(alice.client.post(f"/api/sandbox/phones/{carl}/messages/nothing/read"), 404, "not_found")


def test_a_number_that_nobody_has_gets_nothing(alice: Person, carla: str) -> None:
    assert_problem(send(alice, carla, to=new_number(), text="hello"), 422, "not_on_whatsapp")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"to": "15550100002"}, ""),
        ({"to": "15550100002", "text": "x", "image": {"data": PIXEL}}, ""),
        ({"text": "x"}, "/to"),
        ({"to": 15550100002, "text": "x"}, "/to"),
        ({"to": "15550100002", "text": ""}, "/text"),
        ({"to": "15550100002", "text": 5}, "/text"),
        ({"to": "15550100002", "text": "x" * 4097}, "/text"),
        ({"to": "15550100002", "image": PIXEL}, "/image"),
        ({"to": "15550100002", "image": {}}, "/image/data"),
        ({"to": "15550100002", "image": {"data": 5}}, "/image/data"),
        ({"to": "15550100002", "image": {"data": PIXEL, "url": "file:///etc/passwd"}}, "/image/url"),
        ({"to": "15550100002", "video": {}}, "/video/data"),
        ({"to": "15550100002", "video": {"path": "/etc/passwd"}}, "/video/path"),
        ({"to": "15550100002", "dance": {}}, "/dance"),
    ],
)
def test_what_cannot_be_sent_is_refused(alice: Person, carla: str, body: dict[str, Any], pointer: str) -> None:
    problem = assert_problem(send(alice, carla, **body), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == pointer


def test_an_image_that_is_not_base64_is_refused(alice: Person, carla: str, carl: str) -> None:
    assert_problem(send(alice, carla, to=carl, image={"data": "§"}), 400, "invalid_request")


@pytest.mark.parametrize("query", [{"after": "x"}, {"after": -1}, {"limit": 0}, {"limit": 101}])
def test_a_page_that_cannot_be_is_refused(alice: Person, carl: str, query: dict[str, Any]) -> None:
    problem = assert_problem(received(alice, carl, **query), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == f"/{next(iter(query))}"


def test_a_phone_that_the_network_forgot_is_made_there_again(
    alice: Person, carla: str, sandbox: Callable[..., Any]
) -> None:
    from phones.models import VirtualPhone

    forgotten = new_number()
    VirtualPhone.objects.create(organization=alice.organization, phone=forgotten, name="Forgotten")
    assert send(alice, carla, to=forgotten, text="hello").status_code == 201
    assert [row["text"] for row in received(alice, forgotten).json()["results"]] == ["hello"]


VCARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Erika\nEND:VCARD"
CONTENTS: dict[str, Any] = {
    "text": "hello",
    **{key: {"data": PIXEL} for key in ("image", "video", "gif", "round", "audio", "voice", "document", "sticker")},
    "location": {"latitude": 52.5, "longitude": 13.4},
    "live_location": {"latitude": 52.5, "longitude": 13.4, "sequence": 1},
    "contacts": [{"name": "Erika", "vcard": VCARD}],
    "poll": {"question": "Lunch?", "options": ["Pizza", "Salad"]},
    "event": {"name": "Party", "starts_at": 1_900_000_000},
    "album": {"items": [{"type": "image", "data": PIXEL}, {"type": "video", "data": PIXEL}]},
    "unsupported": {},
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_type_can_be_written(alice: Person, carla: str, carl: str, kind: str) -> None:
    answer = send(alice, carla, to=carl, **{kind: CONTENTS[kind]})
    assert answer.status_code == 201, answer.content
    rows = received(alice, carl).json()["results"]
    assert [row["id"] for row in rows] == [answer.json()["id"], *answer.json().get("items", [])]
    assert all(row["attachment"]["status"] == "ok" for row in rows if "mimetype" in row)


def test_messages_are_quoted_changed_and_voted_on(alice: Person, carla: str, carl: str) -> None:
    asked = send(alice, carla, to=carl, poll=CONTENTS["poll"]).json()["id"]
    told = send(alice, carla, to=carl, text="hello", mentions=[carl], forwarded=True).json()["id"]
    send(alice, carl, to=carla, poll_vote={"message_id": asked, "options": ["Pizza"]})
    send(alice, carl, to=carla, text="hello you", reply_to=told, expires_in=86400)
    send(alice, carl, to=carla, reaction={"message_id": told, "emoji": "👍"})
    send(alice, carla, to=carl, edit={"message_id": told, "body": "hello there"})
    send(alice, carla, to=carl, pin={"message_id": asked, "seconds": 86400})
    send(alice, carla, to=carl, revoke={"message_id": asked})
    poll, text, *_ = received(alice, carl).json()["results"]
    assert poll.items() >= {"votes": {carl: ["Pizza"]}, "pinned": 86400, "revoked": True}.items()
    assert text.items() >= {"text": "hello there", "edited": True, "forwarded": True, "reactions": {carl: "👍"}}.items()
    vote, reply, _ = received(alice, carla).json()["results"]
    assert vote["poll_vote"] == {"message_id": asked, "options": ["Pizza"]}
    assert (reply["reply_to"], reply["expires_in"]) == (told, 86400)


@pytest.mark.parametrize(
    "body",
    [
        {"poll": {"question": "x"}},
        {"poll": {"question": "x", "options": ["a"], "path": "/etc/passwd"}},
        {"location": {"latitude": "north", "longitude": 0}},
        {"voice": {"data": PIXEL, "caption": "x"}},
        {"contacts": [{"name": "Erika"}]},
        {"reaction": {"message_id": "x", "emoji": "y"}, "view_once": True},
        {"poll": {"question": "x", "options": ["a"]}, "view_once": True},
    ],
)
def test_what_a_phone_cannot_write_is_refused(alice: Person, carla: str, carl: str, body: dict[str, Any]) -> None:
    answer = send(alice, carla, to=carl, **body)
    assert (answer.status_code, answer.json()["code"]) in ((422, "phone_refused"), (404, "not_found"))
    assert not received(alice, carl).json()["results"]


def test_an_unknown_message_cannot_be_quoted(alice: Person, carla: str, carl: str) -> None:
    assert_problem(send(alice, carla, to=carl, text="x", reply_to="nothing"), 404, "not_found")

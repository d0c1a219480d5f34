"""Files in messages to many."""

from __future__ import annotations

from typing import Any

import pytest

from broadcasts.models import Broadcast
from broadcasts.tests.conftest import Make, feed, to
from conftest import Person, assert_problem
from instances.models import Instance
from media.models import Media
from messaging.models import Message

pytestmark = pytest.mark.django_db
LINK = "https://example.com/photo.jpg"


def test_a_link_is_taken_in_once_for_all(make: Make) -> None:
    make(message={"type": "image", "image": {"link": LINK, "caption": "For {{name|you}}"}})
    row = Media.objects.get()
    feed()
    assert Media.objects.count() == 1
    assert row.link == LINK
    messages = list(Message.objects.all())
    assert {message.media_id for message in messages} == {row.pk}
    assert {message.content["caption"] for message in messages} == {"For you"}
    assert {message.status for message in messages} == {"preparing"}


def test_a_link_with_a_variable_is_taken_in_for_its_recipient(make: Make) -> None:
    message = {"type": "document", "document": {"link": "https://example.com/{{number}}.pdf", "filename": "{{number}}"}}
    make(message=message, recipients=[*to(1, number="17"), *to(2, number="18")])
    assert not Media.objects.exists()
    feed()
    links = {row.link for row in Media.objects.all()}
    assert links == {"https://example.com/17.pdf", "https://example.com/18.pdf"}


def test_a_link_is_taken_in_once_though_its_name_has_a_variable(make: Make) -> None:
    document = {"link": "https://example.com/bill.pdf", "filename": "{{name}}.pdf"}
    make(message={"type": "document", "document": document}, recipients=[*to(1, name="Ada"), *to(2, name="Bea")])
    assert Media.objects.get().filename == ""
    feed()
    assert Media.objects.count() == 1
    assert {message.content["filename"] for message in Message.objects.all()} == {"Ada.pdf", "Bea.pdf"}


def test_an_album_goes_and_is_cancelled_whole(alice: Person, make: Make) -> None:
    items: list[dict[str, Any]] = [{"type": "image", "link": f"{LINK}?{number}"} for number in range(2)]
    made = make(message={"type": "album", "album": {"items": items}}, recipients=to(1))
    feed()
    assert Media.objects.count() == 2
    assert set(Message.objects.values_list("origin", flat=True)) == {"broadcast"}
    assert Message.objects.count() == 3
    alice.client.post(f"/api/broadcasts/{made['id']}/cancel")
    assert set(Message.objects.values_list("status", flat=True)) == {"cancelled"}


@pytest.mark.parametrize("caption", ["Hello", "Hello {{name|you}}"])
def test_a_file_that_is_not_there_is_refused_at_once(
    alice: Person, charlie: Person, instance: Instance, caption: str
) -> None:
    foreign = Media.objects.create(organization=charlie.organization, source="upload", status="stored")
    message = {"type": "image", "image": {"id": foreign.pk, "caption": caption}}
    body = {"instance": instance.id, "recipients": to(1), "message": message}
    problem = assert_problem(alice.client.post("/api/broadcasts", body, format="json"), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/message/image"
    assert not Broadcast.objects.exists()


def test_a_key_cannot_send_to_many_what_it_may_not_see(alice: Person, instance: Instance) -> None:
    live = Media.objects.create(organization=alice.organization, source="upload", status="stored", network="whatsapp")
    message = {"type": "image", "image": {"id": live.pk, "caption": "Hello {{name|you}}"}}
    body = {"instance": instance.id, "recipients": to(1), "message": message}
    assert_problem(alice.program().post("/api/broadcasts", body, format="json"), 400, "invalid_request")

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
    feed()
    row = Media.objects.get()
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


def test_an_album_goes_and_is_cancelled_whole(alice: Person, make: Make) -> None:
    items: list[dict[str, Any]] = [{"type": "image", "link": f"{LINK}?{number}"} for number in range(2)]
    made = make(message={"type": "album", "album": {"items": items}}, recipients=to(1))
    feed()
    assert Media.objects.count() == 2
    assert set(Message.objects.values_list("origin", flat=True)) == {"broadcast"}
    assert Message.objects.count() == 3
    alice.client.post(f"/api/broadcasts/{made['id']}/cancel")
    assert set(Message.objects.values_list("status", flat=True)) == {"cancelled"}


def test_a_file_that_is_not_there_is_refused_at_once(alice: Person, charlie: Person, instance: Instance) -> None:
    foreign = Media.objects.create(organization=charlie.organization, source="upload", status="stored")
    body = {"instance": instance.id, "recipients": to(1), "message": {"type": "image", "image": {"id": foreign.pk}}}
    problem = assert_problem(alice.client.post("/api/broadcasts", body, format="json"), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/message/image"
    assert not Broadcast.objects.exists()

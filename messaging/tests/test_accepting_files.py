"""Messages with files, as the payload hands them over."""

from __future__ import annotations

from typing import Any

import pytest

from config.api.idempotency import Answer
from conftest import Person
from instances.models import Instance
from instances.whatsapp.jids import Jid
from media.models import Media, Rendition
from media.references import MediaRef
from messaging import services
from messaging.accepting import preparing
from messaging.accepting.orders import Outgoing
from messaging.models import Message
from messaging.tests.test_quota import limit, used
from webhooks.models import Event

pytestmark = pytest.mark.django_db


def picture(alice: Person, *, ready: bool) -> Media:
    media = Media.objects.create(
        organization=alice.organization, source="upload", status="stored", mime_type="image/jpeg", sha256="ab" * 32
    )
    status = Rendition.Status.READY if ready else Rendition.Status.PREPARING
    Rendition.objects.create(media=media, kind="image", status=status, mime_type="image/jpeg", size=7)
    return media


def image(instance: Instance, media: Media, **more: Any) -> Outgoing:
    return Outgoing(
        instance.id, Jid("15550100002"), "image", {"caption": "A cat"}, None, media=MediaRef("image", media.id), **more
    )


def album(instance: Instance, *media: Media) -> Outgoing:
    items = tuple(image(instance, one) for one in media)
    return Outgoing(instance.id, Jid("15550100002"), "album", {}, None, items=items)


def accept(alice: Person, *outgoing: Outgoing) -> list[Any]:
    order = services.accept(actor=alice.actor, outgoing=outgoing, answer_of=lambda verdicts: Answer(202, verdicts))
    assert order.answer is not None
    return order.answer.data


def test_a_ready_file_is_queued_with_what_is_known_of_it(alice: Person, instance: Instance) -> None:
    media = picture(alice, ready=True)
    (answer,) = accept(alice, image(instance, media))
    assert answer["status"] == "queued"
    known = {"mime_type": "image/jpeg", "size": 7, "sha256": "ab" * 32, "status": "stored"}
    assert answer["image"] == {"id": media.id, "caption": "A cat", **known}
    assert Message.objects.get().text == "a cat"


@pytest.mark.parametrize("ready", [True, False])
def test_the_name_that_a_message_gives_a_file_is_the_one_that_counts(
    alice: Person, instance: Instance, ready: bool
) -> None:
    media = picture(alice, ready=ready)
    Media.objects.update(filename="scan0001.pdf")
    accept(alice, image(instance, media)._replace(content={"filename": "Your bill.pdf"}))
    rendition = Rendition.objects.get()
    rendition.status = Rendition.Status.READY
    preparing.prepared(rendition)
    assert Message.objects.get().content["filename"] == "Your bill.pdf"


def test_a_file_that_is_not_ready_is_prepared_first(alice: Person, instance: Instance) -> None:
    media = picture(alice, ready=False)
    (answer,) = accept(alice, image(instance, media))
    assert (answer["status"], answer["image"]["status"]) == ("preparing", "preparing")
    assert Event.objects.get().type == "message.preparing"
    assert Message.objects.get().media == media


def test_an_album_is_a_message_and_one_for_each_item(alice: Person, instance: Instance) -> None:
    media = [picture(alice, ready=True), picture(alice, ready=False)]
    (answer,) = accept(alice, album(instance, *media))
    head, first, second = Message.objects.order_by("id")
    assert answer["album"]["items"] == [{"message_id": row.id, "type": "image"} for row in (first, second)]
    assert (head.type, head.status, first.status, second.status) == ("album", "queued", "queued", "preparing")
    assert {row.attributes["album"] for row in (first, second)} == {head.id}
    assert used(alice) == 3


def test_an_album_goes_whole_or_not_at_all(alice: Person, instance: Instance) -> None:
    limit(alice, 3)
    media = [picture(alice, ready=True) for _ in range(3)]
    whole, single = accept(alice, album(instance, *media), image(instance, media[0]))
    assert whole.code == "quota_exceeded"
    assert single["type"] == "image"
    assert Message.objects.count() == used(alice) == 1

"""Messages with files, from the request to what WhatsApp is handed, and the files of received ones."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone
from pytest_django import Settings

from conftest import Person, assert_problem, wait_for
from instances.holding.writer import Item
from instances.models import Instance
from instances.tests import media_server
from instances.tests.media_server import Answer, MediaServer, gives, says, sealed, streams
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.files import NotSendable, Place
from media import renditions, services
from media.models import Garbage, Media, Rendition, Upload
from media.tests.conftest import picture
from messaging.accepting import preparing
from messaging.models import Message
from messaging.receiving import downloads
from messaging.receiving.fetching import wanted
from messaging.sending.transfers import FRESH, uploaded
from messaging.states import Direction, Origin, Status
from messaging.tests.test_quota import used
from webhooks.models import Event

pytestmark = pytest.mark.django_db
SEALED = sealed(picture())


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_INCOMING_DIR = tmp_path / "incoming"
    backend = "django.core.files.storage.FileSystemStorage"
    kept = {"BACKEND": backend, "OPTIONS": {"location": str(tmp_path / "kept")}}
    settings.STORAGES = settings.STORAGES | {"default": kept}


class FakeHeld:
    """A number as attachments see it, with media servers in memory."""

    def __init__(self, instance: Instance) -> None:
        self.instance_id, self.network = instance.id, instance.network
        self.uploads: list[tuple[str, bytes, bool]] = []
        self.error = ""

    def upload(self, kind: str, path: Path, newsletter: bool) -> Place:
        if self.error:
            raise SendFailed(self.error)
        content = path.read_bytes()
        self.uploads.append((kind, content, newsletter))
        digest = hashlib.sha256(content).digest()
        return Place("https://mmg/x", f"/v/{len(self.uploads)}", b"k" * 32, digest, b"e" * 32, len(content))

    def write(self, value: Any) -> Future[Any]:
        downloads.write([Item(self.instance_id, 1, value)], {})
        done: Future[Any] = Future()
        done.set_result(None)
        return done


def send(alice: Person, instance: Instance, **fields: Any) -> Any:
    body = {"instance": instance.id, "to": "15550100002", **fields}
    return alice.client.post("/api/messages", body, format="json")


def send_data(alice: Person, instance: Instance, content: bytes, type_: str = "image", **more: Any) -> Any:
    file = {"data": base64.b64encode(content).decode(), **more}
    return send(alice, instance, type=type_, **{type_: file})


def work() -> None:
    for media in Media.objects.all():
        for row in Message.objects.filter(media=media):
            services.begin(media_id=media.id, kind=preparing.kind_of(row.type, row.content))
    renditions.worklist().run()


def test_a_message_waits_for_its_file_and_is_queued_then(alice: Person, instance: Instance) -> None:
    answer = send_data(alice, instance, picture(), caption="A cat")
    assert answer.status_code == 202, answer.json()
    assert answer.json()["status"] == "preparing"
    work()
    row = Message.objects.get()
    assert row.status == Status.QUEUED
    assert row.content["mime_type"] == "image/jpeg"
    assert (row.content["status"], row.content["width"], row.content["caption"]) == ("stored", 64, "A cat")
    types = list(Event.objects.order_by("sequence").values_list("type", flat=True))
    assert types == ["message.preparing", "message.queued"]


def test_a_message_whose_file_cannot_be_sent_fails_and_gives_its_quota_back(alice: Person, instance: Instance) -> None:
    send_data(alice, instance, picture()[:200])
    assert used(alice) == 1
    work()
    row = Message.objects.get()
    assert (row.status, row.error_code, row.content["status"]) == ("failed", "media_unreadable", "failed")
    assert used(alice) == 0
    assert Event.objects.order_by("sequence").last().type == "message.failed"


def test_a_file_known_to_be_wrong_is_refused_at_once(alice: Person, instance: Instance, charlie: Person) -> None:
    answer = send_data(alice, instance, b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    problem = assert_problem(answer, 400, "invalid_request")
    assert problem["errors"][0] | {"detail": ""} == {
        "pointer": "/image", "code": "media_type_not_allowed", "detail": "",
    }  # fmt: skip
    foreign = charlie.client.post("/api/media", {"data": "aGVsbG8="}, format="json").json()["id"]
    answer = send(alice, instance, type="document", document={"id": foreign})
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/document/id"
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    "file", [{"data": base64.b64encode(picture()).decode()}, {"link": "https://example.com/a.jpg"}]
)
def test_nothing_is_kept_for_a_number_that_cannot_send(
    alice: Person, charlie: Person, instance: Instance, file: dict[str, str]
) -> None:
    assert_problem(send(charlie, instance, type="image", image=file), 404, "not_found")
    Instance.objects.update(wanted="stopped")
    assert_problem(send(alice, instance, type="image", image=file), 409, "instance_stopped")
    items = {"items": [{"type": "image", **file}] * 2}
    assert_problem(send(alice, instance, type="album", album=items), 409, "instance_stopped")
    assert not Media.objects.exists()


def test_a_wake_up_that_got_lost_is_made_good(alice: Person, instance: Instance) -> None:
    send_data(alice, instance, b"some words", "document", filename="a.txt")
    preparing.sweep()
    assert Message.objects.get().status == Status.PREPARING  # it may still come
    Message.objects.update(created_at=timezone.now() - 2 * preparing._PATIENCE)
    preparing.sweep()
    renditions.worklist().run()
    assert Message.objects.get().status == Status.QUEUED


def test_a_repeated_request_makes_no_second_file(alice: Person, instance: Instance) -> None:
    body = {"instance": instance.id, "to": "15550100002", "type": "image"}
    body["image"] = {"data": base64.b64encode(picture()).decode()}
    answers = [
        alice.client.post("/api/messages", body, format="json", HTTP_IDEMPOTENCY_KEY="k").json() for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert Media.objects.count() == Message.objects.count() == 1


@pytest.fixture
def ready(alice: Person, instance: Instance) -> Message:
    """A message whose file is ready."""
    send_data(alice, instance, picture())
    work()
    return Message.objects.get()


def test_a_file_is_uploaded_once_for_many_messages(ready: Message, instance: Instance) -> None:
    held: Any = FakeHeld(instance)
    first, second = uploaded(held, ready), uploaded(held, ready)
    assert first == second
    assert [(kind, content) for kind, content, _ in held.uploads] == [("image", picture())]
    assert (first.mime_type, first.width, first.file_length) == ("image/jpeg", 64, len(picture()))
    assert first.thumbnail.startswith(b"\xff\xd8")
    Upload.objects.update(created_at=timezone.now() - FRESH)
    uploaded(held, ready)
    assert len(held.uploads) == 2


def test_each_number_and_each_channel_has_an_upload_of_its_own(
    ready: Message, instance: Instance, alice: Person, make_instance: Callable[..., Instance]
) -> None:
    held: Any = FakeHeld(instance)
    uploaded(held, ready)
    other: Any = FakeHeld(make_instance(alice))
    uploaded(other, ready)
    ready.chat = "120363000000000001@newsletter"
    uploaded(held, ready)
    assert [newsletter for _, _, newsletter in held.uploads] == [False, True]
    assert Upload.objects.count() == 3


def test_an_upload_that_fails_is_no_upload(ready: Message, instance: Instance) -> None:
    held: Any = FakeHeld(instance)
    held.error = "media upload: upload failed with status code 500"
    with pytest.raises(SendFailed):
        uploaded(held, ready)
    assert not Upload.objects.exists()


def test_a_deleted_file_cannot_be_sent(ready: Message, instance: Instance) -> None:
    services.delete(media=Media.objects.get())
    held: Any = FakeHeld(instance)
    with pytest.raises(NotSendable) as refused:
        uploaded(held, ready)
    assert refused.value.code == "media_expired"


# --- received ones ----------------------------------------------------------------------------


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MediaServer]:
    """Where WhatsApp keeps the received image."""
    with media_server.media_server(settings, monkeypatch, tmp_path) as found:
        found.answers = [gives(SEALED[1])]
        yield found


@pytest.fixture
def received(instance: Instance) -> Callable[..., Message]:
    """A received image, not fetched yet."""

    def receive(from_phone: bool = False, **columns: Any) -> Message:
        row = Message(
            organization=instance.organization,
            instance=instance,
            direction=Direction.OUTBOUND if from_phone else Direction.INBOUND,
            status=Status.SENT if from_phone else Status.RECEIVED,
            origin=Origin.PHONE if from_phone else None,
            type="image",
            content={"caption": "Look"},
            chat="15550100002@s.whatsapp.net",
        )
        wanted(instance, row, replace(SEALED[0], **columns))
        row.save()
        return row

    return receive


def fetch(instance: Instance, interrupted: bool = False) -> Media:
    media = downloads.claim([instance.id])
    assert media is not None
    held: Any = FakeHeld(instance)
    downloads.download(held, media, lambda: interrupted)
    return Media.objects.get(pk=media.pk)


@pytest.mark.parametrize("from_phone", [False, True])
def test_a_received_file_is_stored_and_its_message_says_so(
    received: Callable[..., Message], server: MediaServer, instance: Instance, settings: Settings, from_phone: bool
) -> None:
    row = received(from_phone)
    assert row.content["status"] == "pending"
    media = fetch(instance)
    assert (media.status, media.mime_type, media.size) == ("stored", "image/jpeg", len(picture()))
    with default_storage.open(media.file) as file:
        assert file.read() == picture()
    row.refresh_from_db()
    assert row.content | {"sha256": ""} == {
        "caption": "Look", "id": media.id, "mime_type": "image/jpeg", "size": len(picture()), "sha256": "",
        "status": "stored",
    }  # fmt: skip
    assert downloads.claim([instance.id]) is None
    assert list(settings.MEDIA_INCOMING_DIR.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "columns", "status", "code"),
    [
        (says(404), {}, "expired", "media_gone"),
        (gives(b"something else"), {}, "failed", "media_unreadable"),
        (gives(SEALED[1][:-20]), {}, "failed", "media_unreadable"),
        (gives(b"", claimed=2**31), {}, "failed", "media_too_large"),
        (gives(SEALED[1]), {"size": 2**31}, "failed", "media_too_large"),
        (gives(b""), {"media_key": b"", "file_sha256": hashlib.sha256().digest()}, "failed", "media_empty"),
        (says(503), {}, "pending", None),
        (gives(SEALED[1][:-20], claimed=len(SEALED[1])), {}, "pending", None),
    ],
)
def test_a_file_that_cannot_be_downloaded_says_why_or_waits(
    received: Callable[..., Message],
    server: MediaServer,
    instance: Instance,
    settings: Settings,
    answer: Answer,
    columns: dict[str, Any],
    status: str,
    code: str | None,
) -> None:
    row = received(**columns)
    Media.objects.update(due_at=timezone.now())  # asked for, if policy leaves it out
    server.answers = [answer]
    media = fetch(instance)
    assert (media.status, media.error_code) == (status, code)
    row.refresh_from_db()
    assert row.content["status"] == status
    assert (media.due_at is not None) == (status == "pending")
    assert not media.file
    assert not Garbage.objects.exists()
    assert not settings.MEDIA_INCOMING_DIR.exists() or list(settings.MEDIA_INCOMING_DIR.iterdir()) == []


def test_a_sender_may_be_wrong_about_the_size_but_not_beyond_what_is_wanted(
    received: Callable[..., Message], server: MediaServer, instance: Instance
) -> None:
    received(size=1)
    instance.settings = {"media": {"max_bytes": 100}}
    instance.save()
    assert fetch(instance).error_code == "media_too_large"
    received(size=1)
    instance.settings = {"media": {"max_bytes": len(picture())}}
    instance.save()
    media = fetch(instance)
    assert (media.status, media.size) == ("stored", len(picture()))


def test_nothing_is_downloaded_for_who_has_no_room(
    received: Callable[..., Message], server: MediaServer, instance: Instance, settings: Settings
) -> None:
    received()
    settings.MEDIA_QUOTA_BYTES = len(picture()) - 1
    assert fetch(instance).error_code == "media_quota_exceeded"
    assert server.heads == []


def test_a_server_that_was_busy_is_asked_again(
    received: Callable[..., Message], server: MediaServer, instance: Instance
) -> None:
    received()
    server.answers = [says(500), gives(SEALED[1])]
    assert fetch(instance).status == "pending"
    assert downloads.claim([instance.id]) is None  # not at once
    Media.objects.update(due_at=timezone.now())
    assert fetch(instance).status == "stored"


def test_a_download_that_is_interrupted_is_due_at_once(
    received: Callable[..., Message], server: MediaServer, instance: Instance
) -> None:
    received()
    media = fetch(instance, interrupted=True)
    assert (media.status, media.attempts) == ("pending", 0)
    assert fetch(instance).status == "stored"


def test_a_worker_that_lets_go_of_a_number_interrupts_its_downloads_and_leaves_them_to_the_next(
    committed: None, received: Callable[..., Message], server: MediaServer, instance: Instance
) -> None:
    def pieces() -> Iterator[bytes]:
        while True:
            yield bytes(10_000)
            time.sleep(0.01)

    received()
    server.answers = [streams(pieces)]
    worker, held = downloads._Downloads(), cast(Any, FakeHeld(instance))
    worker.enter(held)
    wait_for(lambda: server.sent)
    began = time.monotonic()
    worker.close(held, began + 20)
    assert time.monotonic() - began < downloads.CLOSE_SECONDS
    media = Media.objects.get()
    assert (media.status, media.attempts) == ("pending", 0)
    assert media.due_at is not None
    assert media.due_at <= timezone.now()
    server.answers = [gives(SEALED[1])]
    worker.enter(held)
    wait_for(lambda: Media.objects.get().status == "stored")
    worker.close(held, time.monotonic() + 20)


def test_downloads_are_given_up_after_some_attempts(
    received: Callable[..., Message], server: MediaServer, instance: Instance
) -> None:
    received()
    server.answers = [says(500)]
    Media.objects.update(attempts=len(downloads.RETRY))
    assert fetch(instance).error_code == "download_failed"


def test_a_file_that_is_fetched_at_last_can_be_sent(
    alice: Person, received: Callable[..., Message], server: MediaServer, instance: Instance
) -> None:
    row = received()
    media_id = str(row.media_id)
    services.begin(media_id=media_id, kind="image")
    server.answers = [gives(b"something else"), gives(SEALED[1])]
    assert fetch(instance).status == "failed"
    assert Rendition.objects.get().status == "failed"
    assert alice.client.post(f"/api/media/{media_id}/fetch").status_code == 202
    assert fetch(instance).status == "stored"
    services.begin(media_id=media_id, kind="image")
    renditions.worklist().run()
    assert Rendition.objects.get().status == "ready"


def test_policy_decides_what_is_fetched_and_the_rest_can_be_asked_for(
    alice: Person, received: Callable[..., Message], server: MediaServer, instance: Instance
) -> None:
    instance.settings = {"media": {"download": ["video"]}}
    instance.save()
    row = received()
    assert downloads.claim([instance.id]) is None
    assert row.content["status"] == "pending"
    assert alice.client.post(f"/api/media/{row.media_id}/fetch").status_code == 202
    assert fetch(instance).status == "stored"


def test_a_claim_of_a_dead_worker_is_due_again(received: Callable[..., Message], instance: Instance) -> None:
    received()
    assert downloads.claim([instance.id]) is not None
    assert downloads.claim([instance.id]) is None
    Media.objects.update(due_at=timezone.now())
    assert downloads.claim([instance.id]) is not None


def test_what_the_sender_claims_does_no_harm(received: Callable[..., Message], instance: Instance) -> None:
    row = received(size=2**64 - 1, mime_type="text/\x00html", filename="../../etc/pass\u202ewd\x00")
    media = Media.objects.get(pk=row.media_id)
    assert (media.mime_type, media.filename) == ("", "passwd")
    assert Rendition.objects.count() == 0

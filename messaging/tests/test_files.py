"""Messages with files, from the request to what WhatsApp is handed, and the files of received ones."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone
from pytest_django import Settings

from conftest import Person, assert_problem
from instances.holding.writer import Item
from instances.models import Instance
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.files import NotSendable, Place, RemoteFile
from media import renditions, services
from media.models import Media, Rendition, Upload
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
        self.files: dict[str, bytes] = {}
        self.error = ""

    def upload(self, kind: str, path: Path, newsletter: bool) -> Place:
        if self.error:
            raise SendFailed(self.error)
        content = path.read_bytes()
        self.uploads.append((kind, content, newsletter))
        digest = hashlib.sha256(content).digest()
        return Place("https://mmg/x", f"/v/{len(self.uploads)}", b"k" * 32, digest, b"e" * 32, len(content))

    def download(self, remote: RemoteFile) -> bytes:
        if self.error:
            raise SendFailed(self.error)
        return self.files[remote.direct_path]

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


def remote(content: bytes, **columns: Any) -> RemoteFile:
    known = {"kind": "image", "direct_path": "/v/1", "media_key": b"k" * 32, "file_enc_sha256": b"e" * 32}
    known |= {"file_sha256": hashlib.sha256(content).digest(), "size": len(content), "mime_type": "image/jpeg"}
    return RemoteFile(**(known | columns))


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
        wanted(instance, row, remote(picture(), **columns))
        row.save()
        return row

    return receive


def fetch(held: Any, instance: Instance) -> Media:
    media = downloads.claim([instance.id])
    assert media is not None
    downloads.download(held, media)
    return Media.objects.get(pk=media.pk)


@pytest.mark.parametrize("from_phone", [False, True])
def test_a_received_file_is_stored_and_its_message_says_so(
    received: Callable[..., Message], instance: Instance, from_phone: bool
) -> None:
    row = received(from_phone)
    assert row.content["status"] == "pending"
    held: Any = FakeHeld(instance)
    held.files["/v/1"] = picture()
    media = fetch(held, instance)
    assert (media.status, media.mime_type, media.size) == ("stored", "image/jpeg", len(picture()))
    with default_storage.open(media.file) as file:
        assert file.read() == picture()
    row.refresh_from_db()
    assert row.content | {"sha256": ""} == {
        "caption": "Look", "id": media.id, "mime_type": "image/jpeg", "size": len(picture()), "sha256": "",
        "status": "stored",
    }  # fmt: skip
    assert downloads.claim([instance.id]) is None


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("media download: download failed with status code 404", "expired", "media_gone"),
        ("media download: hash of media plaintext doesn't match", "failed", "media_unreadable"),
        ("media download: something else", "pending", None),
        ("client is nil: the number is offline", "pending", None),
    ],
)
def test_a_file_that_cannot_be_downloaded_says_why_or_waits(
    received: Callable[..., Message], instance: Instance, error: str, status: str, code: str | None
) -> None:
    row, held = received(), FakeHeld(instance)
    held.error = error
    media = fetch(held, instance)
    assert (media.status, media.error_code) == (status, code)
    row.refresh_from_db()
    assert row.content["status"] == status
    assert (media.due_at is not None) == (status == "pending")


def test_downloads_are_given_up_after_some_attempts(received: Callable[..., Message], instance: Instance) -> None:
    received()
    held = FakeHeld(instance)
    held.error = "media download: something else"
    Media.objects.update(attempts=len(downloads.RETRY))
    assert fetch(held, instance).error_code == "download_failed"


def test_a_file_that_is_fetched_at_last_can_be_sent(
    alice: Person, received: Callable[..., Message], instance: Instance
) -> None:
    row, held = received(), FakeHeld(instance)
    media_id = str(row.media_id)
    services.begin(media_id=media_id, kind="image")
    held.error = "media download: hash of media plaintext doesn't match"
    assert fetch(held, instance).status == "failed"
    assert Rendition.objects.get().status == "failed"
    assert alice.client.post(f"/api/media/{media_id}/fetch").status_code == 202
    held.error, held.files["/v/1"] = "", picture()
    assert fetch(held, instance).status == "stored"
    services.begin(media_id=media_id, kind="image")
    renditions.worklist().run()
    assert Rendition.objects.get().status == "ready"


def test_policy_decides_what_is_fetched_and_the_rest_can_be_asked_for(
    alice: Person, received: Callable[..., Message], instance: Instance
) -> None:
    instance.settings = {"media": {"download": ["video"]}}
    instance.save()
    row = received()
    assert downloads.claim([instance.id]) is None
    assert row.content["status"] == "pending"
    assert alice.client.post(f"/api/media/{row.media_id}/fetch").status_code == 202
    held: Any = FakeHeld(instance)
    held.files["/v/1"] = picture()
    assert fetch(held, instance).status == "stored"


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

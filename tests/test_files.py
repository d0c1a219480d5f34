"""Files through the whole product: every kind to a phone, large ones from number to number, and what it costs."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from PIL import Image

from media.tests.test_renditions import moving, sound, video
from stack.testing import RunningStack
from tests.product import Api, Control, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]
MB = 1024 * 1024
ENDED = ("sent", "delivered", "read", "played", "failed", "unconfirmed")


def picture(form: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (320, 200), (200, 30, 60)).save(out, form)
    return out.getvalue()


def send(api: Api, instance: str, to: str, type_: str, **file: Any) -> dict[str, Any]:
    """Send a file and wait for the end of its way."""
    body = {"instance": instance, "to": to, "type": type_, type_: file}
    id_ = api.post("/messages", body, expect=202)["id"]
    wait_for(lambda: api.message(id_)["status"] in ENDED, 90, f"{type_}: {api.message(id_)}")
    return api.message(id_)


def test_every_kind_of_file_reaches_a_phone(acme: Api) -> None:
    instance, _ = acme.linked()
    phone = acme.phone()
    sent: list[tuple[str, dict[str, Any], str]] = [
        ("image", {"data": picture()}, "image/jpeg"),
        ("image", {"data": picture("WEBP")}, "image/jpeg"),
        ("video", {"data": video()}, "video/mp4"),
        ("video", {"data": moving(), "gif": True}, "video/mp4"),
        ("video", {"data": video(), "round": True}, "video/mp4"),
        ("audio", {"data": sound()}, "audio/mp4"),
        ("audio", {"data": sound(), "voice": True}, "audio/ogg; codecs=opus"),
        ("document", {"data": b"name,phone\n", "filename": "list.csv"}, "text/csv"),
        ("sticker", {"data": picture("PNG")}, "image/webp"),
    ]
    for type_, file, _ in sent:
        message = send(acme, instance, phone, type_, **(file | {"data": base64.b64encode(file["data"]).decode()}))
        assert message["error"] is None, message
    got = wait_for(lambda: len(found := acme.received(phone)) == len(sent) and found, what="the files at the phone")
    assert [one["mimetype"] for one in got] == [mime_type for _, _, mime_type in sent]


def test_a_file_that_is_received_can_be_read(acme: Api) -> None:
    instance, number = acme.linked()
    phone, content = acme.phone(), picture()
    image = {"data": base64.b64encode(content).decode(), "caption": "Look"}
    acme.post(f"/sandbox/phones/{phone}/messages", {"to": number, "image": image})
    row = wait_for(lambda: next(iter(acme.messages(instance=instance, chat=phone)), None), what="the message")
    stored = wait_for(
        lambda: (found := acme.message(row["id"])["image"])["status"] == "stored" and found, what="the file"
    )
    assert (stored["size"], stored["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    link = acme.get(f"/media/{stored['id']}")["url"]
    answer = httpx.get(acme.address + urlsplit(link).path)
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert acme.http.get(f"/api/media/{stored['id']}/content").content == content


@pytest.fixture
def control(stack: RunningStack) -> Control:
    return Control(stack)


class Memory:
    """The most that each process of the product had in memory while it was watched, in MB."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self.peak: dict[str, float] = {}

    def sample(self) -> None:
        for name, state in self._stack.processes().items():
            try:
                family = [psutil.Process(state["pid"]), *psutil.Process(state["pid"]).children(recursive=True)]
                size = max(one.memory_info().rss for one in family) / MB
            except (psutil.Error, TypeError, ValueError):
                continue
            self.peak[name] = max(self.peak.get(name, 0), size)

    @contextmanager
    def watched(self) -> Iterator[None]:
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(0.05):
                self.sample()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def large_video(size: int) -> bytes:
    """A short film with much room at its end, as the container allows."""
    film = video()
    return film + struct.pack(">I4s", size - len(film), b"free") + os.urandom(size - len(film) - 8)


def test_a_large_video_goes_from_number_to_number_and_memory_stays(
    stack: RunningStack, acme: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    instance, _ = acme.linked()
    other, number = acme.linked()
    content = large_video(50 * MB)
    before, during = Memory(stack), Memory(stack)
    before.sample()
    with during.watched():
        began = time.monotonic()
        answer = acme.http.post("/api/media", files={"file": ("film.mp4", content)}, timeout=120)
        assert answer.status_code == 201, answer.text
        uploaded = time.monotonic()
        message = send(acme, instance, number, "video", id=answer.json()["id"])
        assert message["error"] is None, message
        sent = time.monotonic()
        row = wait_for(
            lambda: next((one for one in acme.messages(instance=other) if one["type"] == "video"), None),
            60,
            "the video",
        )
        stored = wait_for(
            lambda: (found := acme.message(row["id"])["video"])["status"] == "stored" and found, 60, "its file"
        )
        received = time.monotonic()
    assert stored["sha256"] == hashlib.sha256(content).hexdigest()
    with capsys.disabled():
        print(
            f"\n50 MB: upload {uploaded - began:.1f} s, send {sent - uploaded:.1f} s, receive {received - sent:.1f} s"
        )
        for name in sorted(during.peak):
            print(f"  {name:24} {before.peak.get(name, 0):6.0f} MB -> {during.peak[name]:6.0f} MB at most")
    assert during.peak["web"] - before.peak["web"] < 30


def test_three_large_files_at_once_are_received_without_being_in_memory(
    stack: RunningStack, acme: Api, control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    instance, number = acme.linked()
    phones = [acme.phone() for _ in range(3)]
    send_bytes(control, phones[0], number, 10_000)  # what is loaded once does not count
    wait_for(lambda: stored(acme, instance, 1), 60, "the first file")
    before, during = Memory(stack), Memory(stack)
    before.sample()
    with during.watched():
        began = time.monotonic()
        for phone in phones:
            send_bytes(control, phone, number, 50 * MB)
        sent = time.monotonic()
        files = wait_for(lambda: stored(acme, instance, 4), 90, "the files")
        took = time.monotonic() - sent
    assert [file["size"] for file in files].count(50 * MB) == 3
    worker = "sessions-sandbox-1"
    grown = during.peak[worker] - before.peak[worker]
    with capsys.disabled():
        print(
            f"\n3 x 50 MB: sent by phones in {sent - began:.1f} s, stored {took:.1f} s later; "
            f"{worker} {before.peak[worker]:.0f} MB -> {during.peak[worker]:.0f} MB at most"
        )
    assert grown < 40


def test_a_file_that_is_larger_than_it_says_is_not_taken(acme: Api, control: Control) -> None:
    instance, number = acme.linked()
    settings = {"settings": {"media": {"max_bytes": 1_000_000}}}
    assert acme.http.patch(f"/api/instances/{instance}", json=settings).status_code == 200
    phone = acme.phone()
    friend = acme.phone()
    send_bytes(control, phone, friend, 20 * MB)
    honest = control("sent", phone=phone, raw=True)["results"][-1]["message"]
    honest["documentMessage"]["fileLength"] = "1000"
    control("send", phone=phone, to=number, message=honest)
    row = wait_for(lambda: next(iter(acme.messages(instance=instance, chat=phone)), None), what="the message")
    assert row["document"]["size"] == 1000
    file = wait_for(lambda: (found := acme.message(row["id"])["document"])["status"] == "failed" and found, 30)
    assert acme.get(f"/media/{file['id']}")["error"]["code"] == "media_too_large"


def test_a_file_of_a_channel_is_received_though_it_is_not_encrypted(acme: Api, control: Control) -> None:
    instance, number = acme.linked()
    owner = acme.phone()
    channel = control("create_newsletter", phone=owner, name="News")["jid"]
    control("follow_newsletter", phone=number, newsletter=channel)
    send_bytes(control, owner, channel, 100_000)
    (file,) = wait_for(lambda: stored(acme, instance, 1), 30, lambda: acme.messages(instance=instance))
    assert file["size"] == 100_000


def send_bytes(control: Control, phone: str, to: str, size: int) -> None:
    control("send_message", phone=phone, to=to, type="document", content={"bytes": size, "filename": "big.bin"})


def stored(api: Api, instance: str, count: int) -> list[dict[str, Any]] | None:
    """The documents of an instance if so many are stored."""
    files = [row["document"] for row in api.messages(instance=instance) if row["type"] == "document"]
    return files if len([file for file in files if file["status"] == "stored"]) == count else None


def test_a_document_of_the_largest_size_leaves_the_web_as_it_is(stack: RunningStack, acme: Api) -> None:
    before, during = Memory(stack), Memory(stack)
    before.sample()
    with during.watched():
        answer = acme.http.post("/api/media", files={"file": ("big.bin", os.urandom(100 * MB))}, timeout=120)
    assert answer.status_code == 201, answer.text
    assert during.peak["web"] - before.peak["web"] < 30


@pytest.mark.parametrize("chunked", [False, True])
def test_a_gigabyte_is_refused_early(acme: Api, chunked: bool) -> None:
    address = urlsplit(acme.address)
    head = f"POST /api/media HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {acme.credential}\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n" if chunked else f"Content-Length: {1 << 30}\r\n\r\n"
    sent, answer, piece = 0, b"", b"x" * 65536
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=10) as client:
        client.sendall(head.encode())
        client.setblocking(False)
        while not answer and sent < 1 << 30:
            try:
                client.send(b"10000\r\n" + piece + b"\r\n" if chunked else piece)
                sent += len(piece)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                sent += 0
            try:
                answer = client.recv(65536)
            except BlockingIOError:
                continue
    assert answer.startswith(b"HTTP/1.1 411 " if chunked else b"HTTP/1.1 413 ")
    assert sent < 20 * MB

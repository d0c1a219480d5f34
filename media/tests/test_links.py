from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from conftest import Person
from media import links, services
from media.models import Media, Rendition
from media.tests.conftest import picture
from webhooks.models import Event

pytestmark = pytest.mark.django_db
Reply = tuple[int, dict[str, str], bytes]


class Host:
    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                status, headers, body = outer.replies.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def host(settings: Settings) -> Iterator[Host]:
    settings.MEDIA_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    host = Host()
    yield host
    host.server.shutdown()
    host.server.server_close()


@pytest.fixture
def fetched(alice: Person) -> Callable[[str], Media]:
    """A link of Alice's after an attempt to fetch it."""

    def fetch(link: str, **columns: Any) -> Media:
        media = services.store_link(actor=alice.actor, link=link)
        Media.objects.filter(pk=media.pk).update(**columns)
        links.worklist().run()
        return Media.objects.get(pk=media.pk)

    return fetch


def test_a_link_becomes_a_file(host: Host, fetched: Callable[..., Media]) -> None:
    host.replies["/a/cat%20one.jpg"] = (200, {"Content-Type": "text/html"}, picture())
    media = fetched(f"{host.url}/a/cat%20one.jpg")
    assert (media.status, media.mime_type, media.size) == ("stored", "image/jpeg", len(picture()))
    assert media.filename == "cat one.jpg"
    assert media.due_at is None


def test_a_redirect_is_followed(host: Host, fetched: Callable[..., Media]) -> None:
    host.replies |= {"/a": (302, {"Location": "/b.jpg"}, b""), "/b.jpg": (200, {}, picture())}
    assert fetched(f"{host.url}/a").status == "stored"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ((404, {}, b"no"), "link_status"),
        ((200, {}, b""), "media_empty"),
        ((200, {"Content-Length": str(200 * 1024**2)}, b""), "link_too_large"),
    ],
)
def test_what_is_no_file_fails_at_once_and_says_why(
    host: Host, fetched: Callable[..., Media], reply: Reply, code: str
) -> None:
    host.replies["/a"] = reply
    media = fetched(f"{host.url}/a")
    assert (media.status, media.error_code) == ("failed", code)
    assert host.asked == ["/a"]


@pytest.mark.parametrize(
    "link",
    ["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]:1/", "http://localhost:1/"],
)
def test_private_addresses_look_like_those_that_nobody_answers(
    host: Host, fetched: Callable[..., Media], settings: Settings, link: str
) -> None:
    settings.MEDIA_PRIVATE_NETWORKS = []
    media = fetched(link, attempts=2)
    assert (media.status, media.error_code) == ("failed", "link_unreachable")
    assert media.error_detail == "The server could not be reached."


def test_a_redirect_to_a_private_address_looks_the_same(host: Host, fetched: Callable[..., Media]) -> None:
    host.replies["/a"] = (302, {"Location": "http://10.0.0.1/secret"}, b"")
    media = fetched(f"{host.url}/a", attempts=2)
    assert (media.error_code, media.error_detail) == ("link_unreachable", "The server could not be reached.")


def test_a_server_that_is_busy_is_asked_again_a_little_later(host: Host, fetched: Callable[..., Media]) -> None:
    host.replies["/a"] = (503, {}, b"")
    media = fetched(f"{host.url}/a")
    assert (media.status, media.attempts) == ("pending", 1)
    assert media.due_at is not None
    assert timezone.now() < media.due_at < timezone.now() + timedelta(seconds=5)
    Media.objects.update(due_at=timezone.now())
    host.replies["/a"] = (200, {}, picture())
    links.worklist().run()
    assert Media.objects.get().status == "stored"


def test_what_waits_for_a_link_that_fails_fails_with_its_code(alice: Person, host: Host) -> None:
    media = services.store_link(actor=alice.actor, link=f"{host.url}/missing")
    services.begin(media_id=media.id, kind="image")
    links.worklist().run()
    rendition = Rendition.objects.get()
    assert (rendition.status, rendition.error_code) == ("failed", "link_status")


def test_a_key_is_told_of_its_links_by_events(alice: Person, host: Host) -> None:
    host.replies["/a.jpg"] = (200, {}, picture())
    client = alice.program("send", "read")
    client.post("/api/media", {"link": f"{host.url}/a.jpg"}, format="json")
    client.post("/api/media", {"link": f"{host.url}/gone"}, format="json")
    links.worklist().run()
    assert list(Event.objects.order_by("sequence").values_list("type", flat=True)) == ["media.stored", "media.failed"]


def test_a_claim_of_a_worker_that_died_is_due_again(alice: Person, host: Host) -> None:
    host.replies["/a.jpg"] = (200, {}, picture())
    services.store_link(actor=alice.actor, link=f"{host.url}/a.jpg")
    Media.objects.update(due_at=timezone.now() + timedelta(seconds=60), attempts=1)
    work = links.worklist()
    assert not work.is_due()
    Media.objects.update(due_at=timezone.now())
    assert work.is_due()
    work.run()
    assert Media.objects.get().status == "stored"


def test_the_quota_holds_for_links_too(alice: Person, host: Host, settings: Settings) -> None:
    settings.MEDIA_QUOTA_BYTES = 10
    host.replies["/a.jpg"] = (200, {}, picture())
    services.store_link(actor=alice.actor, link=f"{host.url}/a.jpg")
    links.worklist().run()
    assert Media.objects.get().error_code == "media_quota_exceeded"

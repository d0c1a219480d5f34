"""Previews of links: what is taken from a page, and that a message goes out whatever comes of it."""

from __future__ import annotations

import io
import ipaddress
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from PIL import Image
from pytest_django import Settings

from config.timestamps import iso
from conftest import Person
from instances.models import Instance
from messaging.accepting import previews, scheduling
from messaging.accepting.links import first_link
from messaging.models import LinkPreview, Message
from webhooks.models import Event


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("see https://example.com/a?b=c.", "https://example.com/a?b=c"),
        ("(HTTP://EXAMPLE.COM)", "HTTP://EXAMPLE.COM"),
        ("a https://one.example and https://two.example", "https://one.example"),
        ("no link, ftp://example.com, https://", None),
    ],
)
def test_the_first_link_of_a_text(text: str, link: str | None) -> None:
    assert first_link(text) == link


@pytest.mark.parametrize(
    ("html", "title", "description"),
    [
        ("<title>A &amp; B</title>", "A & B", ""),
        ("<TITLE>x</TITLE><meta property='og:title' content='  Y \n z '>", "Y z", ""),
        ("<title>x</title><meta name=description content='d'/>", "x", "d"),
        ("<title>" + "x" * 500 + "</title>", "x" * 200, ""),
    ],
)
def test_what_a_page_says_of_itself(html: str, title: str, description: str) -> None:
    assert previews.read(html.encode(), "text/html", "https://a.example") == (title, description, None)


def test_a_page_may_be_written_in_another_alphabet() -> None:
    assert previews.read("<title>Grüße</title>".encode("latin-1"), "text/html; charset=ISO-8859-1", "") is not None
    page = previews.read("<meta charset=windows-1251><title>Привет</title>".encode("cp1251"), "", "")
    assert page is not None
    assert page.title == "Привет"


@pytest.mark.parametrize("html", [b"", b"\x00" * 1000, b"<title></title>", b"<!--" * 100_000, b"<meta " * 90_000])
def test_a_page_that_says_nothing_has_no_preview(html: bytes) -> None:
    assert previews.read(html, "text/html; charset=nonsense", "https://a.example") is None


class Site:
    """A web server on loopback."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                kind, body = site.pages.get(self.path, ("", b""))
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site(settings: Settings, tmp_path: Path) -> Iterator[Site]:
    settings.MEDIA_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    settings.MEDIA_INCOMING_DIR = tmp_path
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def sent(person: Person, instance: Instance, body: str, **fields: Any) -> Message:
    content = {"body": body, "link_preview": True}
    given = {"instance": instance.id, "to": "15550100002", "type": "text", "text": content} | fields
    answer = person.client.post("/api/messages", given, format="json")
    assert answer.status_code == 202, answer.content
    return Message.objects.get(pk=answer.json()["id"])


@pytest.mark.django_db
def test_a_message_waits_for_its_preview_and_goes_out_with_it(alice: Person, instance: Instance, site: Site) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (800, 400), "red").save(picture, "PNG")
    head = b"<title>t</title><meta property=og:title content=Shop><meta property=og:image content=/a.png>"
    site.pages = {"/": ("text/html", head + b" " * 600_000), "/a.png": ("image/png", picture.getvalue())}
    row = sent(alice, instance, f"Look: {site.url}/")
    assert (row.status, row.content) == ("preparing", {"body": f"Look: {site.url}/"})
    previews.make(row.pk)
    row.refresh_from_db()
    assert (row.status, row.content["link_preview"]) == ("queued", {"url": f"{site.url}/", "title": "Shop"})
    assert bytes(LinkPreview.objects.get().thumbnail).startswith(b"\xff\xd8\xff")
    assert [event.type for event in Event.objects.order_by("sequence")] == ["message.preparing", "message.queued"]
    previews.make(row.pk)
    assert Event.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/missing", "/nothing", "/image"])
def test_a_message_without_a_preview_goes_out_all_the_same(
    alice: Person, instance: Instance, site: Site, path: str
) -> None:
    broken = b"<title>x</title><meta property=og:image content=/broken>"
    site.pages = {
        "/nothing": ("text/html", b"nothing"),
        "/image": ("text/html", broken),
        "/broken": ("image/png", b"x"),
    }
    row = sent(alice, instance, site.url + path)
    previews.make(row.pk)
    row.refresh_from_db()
    assert row.status == "queued"
    assert ("link_preview" in row.content) == (path == "/image")
    assert not LinkPreview.objects.exists()


@pytest.mark.django_db
def test_a_private_address_is_not_asked(alice: Person, instance: Instance, site: Site, settings: Settings) -> None:
    settings.MEDIA_PRIVATE_NETWORKS = []
    site.pages = {"/": ("text/html", b"<title>secret</title>")}
    row = sent(alice, instance, f"{site.url}/")
    previews.make(row.pk)
    row.refresh_from_db()
    assert (row.status, "link_preview" in row.content) == ("queued", False)


@pytest.mark.django_db
def test_a_text_without_a_link_does_not_wait(alice: Person, instance: Instance) -> None:
    assert sent(alice, instance, "nothing to see").status == "queued"


@pytest.mark.django_db
def test_what_waits_for_too_long_is_let_go(alice: Person, instance: Instance) -> None:
    row = sent(alice, instance, "https://example.com")
    previews.sweep()
    row.refresh_from_db()
    assert row.status == "preparing"
    Message.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    previews.sweep()
    row.refresh_from_db()
    assert (row.status, row.error_code) == ("queued", None)


@pytest.mark.django_db
@pytest.mark.parametrize("page", [b"<title>Shop</title>", b"nothing"])
def test_the_link_of_many_messages_is_looked_at_once(
    alice: Person, instance: Instance, site: Site, page: bytes
) -> None:
    site.pages = {"/": ("text/html", page)}
    for _ in range(3):
        sent(alice, instance, f"{site.url}/")
    previews.run()
    assert site.asked == ["/"]
    assert {row.status for row in Message.objects.all()} == {"queued"}
    assert {"link_preview" in row.content for row in Message.objects.all()} == {page != b"nothing"}


@pytest.mark.django_db
def test_the_link_of_a_scheduled_message_is_looked_at_when_it_leaves(
    alice: Person, instance: Instance, site: Site
) -> None:
    site.pages = {"/": ("text/html", b"<title>Shop</title>")}
    row = sent(alice, instance, f"{site.url}/", send_at=iso(timezone.now() + timedelta(hours=1)))
    previews.run()
    assert site.asked == []
    Message.objects.update(send_at=timezone.now(), created_at=timezone.now() - timedelta(hours=1))
    scheduling.release_due()
    previews.sweep()
    row.refresh_from_db()
    assert row.status == "preparing"
    previews.run()
    row.refresh_from_db()
    assert (row.status, row.content["link_preview"]["title"]) == ("queued", "Shop")


@pytest.mark.django_db
def test_an_organization_with_slow_links_leaves_places_to_the_others(
    alice: Person, charlie: Person, instance: Instance, make_instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at a page goes on while others are begun, as in other threads."""
    theirs = make_instance(charlie)
    for _ in range(60):
        sent(alice, instance, "https://example.com")
    sent(charlie, theirs, "https://example.com")
    begun: list[str] = []

    def look(message_id: str) -> None:
        row = Message.objects.get(pk=message_id)
        begun.append(row.organization_id)
        previews.run()
        Message.objects.filter(pk=message_id).update(status="queued")

    monkeypatch.setattr(previews, "make", look)
    previews.run()
    mine, other = alice.organization.id, charlie.organization.id
    assert begun[:3] == [mine, mine, other]
    assert len(begun) == 61

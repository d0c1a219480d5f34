"""Previews of links: the page is fetched before its message is sent, and the message goes out whatever comes of it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from datetime import timedelta
from functools import partial
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from config.egress import Client, EgressError, InvalidUrl, checked_url
from instances import wakeup
from media import renditions, storing
from media.converting.job import Job, Refused
from media.models import Kind
from media.places import Places
from media.sniffing import HEAD_BYTES, sniffed
from messaging.accepting.links import first_link
from messaging.models import LinkPreview, Message
from messaging.progress import move, report
from messaging.states import Status
from webhooks import events

log = structlog.get_logger(__name__)
MOST_HTML, MOST_IMAGE, SECONDS = 512 * 1024, 5 * 2**20, 8.0
_PATIENCE, _LONGEST_WAIT = timedelta(seconds=15), timedelta(seconds=60)
_CLAIM_SECONDS, _KEPT_SECONDS, _NOTHING_KEPT_SECONDS = 60, 600, 30
_places = Places(4)
_MOST_TITLE, _MOST_DESCRIPTION = 200, 500
# Only the tags that are looked for are given to the parser, which takes quadratic time for some broken pages.
_META = re.compile(r"<meta\s[^<>]{1,4000}>", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^<>]{0,200}>([^<]{1,2000})<", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w-]{1,40})", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


class _Enough(Exception):
    """The rest of a page is of no interest."""


class Page(NamedTuple):
    title: str
    description: str
    image: str | None


class _Meta(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        name = (values.get("property") or values.get("name") or "").strip().lower()
        if name and (content := values.get("content")):
            self.found.setdefault(name, content)


def read(html: bytes, content_type: str, url: str) -> Page | None:
    """What a page says of itself; None without a title."""
    named = _CHARSET.search(content_type) or _CHARSET.search(html[:2048].decode("latin-1"))
    try:
        text = html.decode(named[1] if named else "utf-8", "replace")
    except LookupError:
        text = html.decode("utf-8", "replace")
    meta = _Meta()
    for tag in _META.findall(text)[:200]:
        meta.feed(tag)
    title = _TITLE.search(text)
    words = meta.found.get("og:title") or meta.found.get("twitter:title") or (unescape(title[1]) if title else "")
    if not (words := _plain(words, _MOST_TITLE)):
        return None
    more = meta.found.get("og:description") or meta.found.get("description") or ""
    image = meta.found.get("og:image") or meta.found.get("twitter:image")
    return Page(words, _plain(more, _MOST_DESCRIPTION), urljoin(url, image) if image else None)


def _plain(text: str, most: int) -> str:
    return _SPACE.sub(" ", text.replace("\x00", "")).strip()[:most]


def run() -> None:
    """Make the previews that messages wait for, one after the other, until none does or all places are taken."""
    with _places.taken() as mine:
        while mine and (row := _claim()) is not None:
            try:
                make(row.pk)
            finally:
                _places.leave(row.organization_id)


def _waiting() -> QuerySet[Message]:
    return Message.objects.filter(status=Status.PREPARING, type="text").order_by("id")


def _claim() -> Message | None:
    """A message that nobody is at, of an organization that may have another. A lost claim does no harm."""
    for row in _waiting().exclude(organization_id__in=_places.full()).only("organization_id")[:50]:
        if not _places.enter(row.organization_id):
            continue
        if cache.add(f"messaging:preview:{row.pk}", 1, timeout=_CLAIM_SECONDS):
            return row
        _places.leave(row.organization_id)
    return None


def make(message_id: str) -> None:
    """Make the preview of a message that waits for it, then let it go. Idempotent, never fails for a page."""
    row = _waiting().filter(pk=message_id).first()
    if row is None or (link := first_link(row.content["body"])) is None:
        return
    # The same link goes to many; nobody learns from how fast it is what others link to.
    key = f"messaging:page:{row.organization_id}:{hashlib.sha256(link.encode()).hexdigest()}"
    found = cache.get(key)
    if found is None:
        found = _looked_at(link, message_id)
        cache.set(key, found, timeout=_KEPT_SECONDS if found[0] else _NOTHING_KEPT_SECONDS)
    _let_go(message_id, link, *found)


def _looked_at(link: str, message_id: str) -> tuple[Page | None, bytes]:
    page, jpeg = None, b""
    try:
        page, image = asyncio.run(_fetched(link))
        jpeg = _thumbnail(image) if image else b""
    except (EgressError, InvalidUrl, Refused) as error:
        log.info("link_preview_failed", message=message_id, error=str(error))
    except Exception:  # whatever a page brings about, the message must go out
        log.exception("link_preview_broke", message=message_id)
    return page, jpeg


async def _fetched(link: str) -> tuple[Page | None, bytes]:
    client = Client(allowed=settings.MEDIA_PRIVATE_NETWORKS, total_seconds=SECONDS)
    try:
        html, content_type = await _got(client, link, MOST_HTML, "text/html", cut=True)
        page = read(html, content_type, link)
        if page is None or page.image is None:
            return page, b""
        try:
            checked_url(page.image)
            return page, (await _got(client, page.image, MOST_IMAGE, "image/*", cut=False))[0]
        except (EgressError, InvalidUrl):
            return page, b""
    finally:
        await client.aclose()


async def _got(client: Client, url: str, most: int, accept: str, *, cut: bool) -> tuple[bytes, str]:
    """The body, cut after ``most`` bytes or refused then, and its type."""
    pieces = bytearray()

    def write(piece: bytes) -> None:
        pieces.extend(piece)
        if cut and len(pieces) >= most:
            raise _Enough

    try:
        fetched = await client.get(url, write=write, most_bytes=2**31 if cut else most, accept=accept)
    except _Enough:
        return bytes(pieces[:most]), ""
    return bytes(pieces), fetched.headers.get("content-type", "")


def _thumbnail(image: bytes) -> bytes:
    """A small JPEG, made by a process of its own. Raises Refused."""
    with storing.workplace() as folder:
        source, target = folder / "source", folder / "target"
        Path(source).write_bytes(image)
        kind = sniffed(image[:HEAD_BYTES], "", "")
        return renditions.convert(Job(Kind.IMAGE, kind, str(source), str(target), MOST_IMAGE), folder).thumbnail


def _let_go(message_id: str, link: str, page: Page | None, jpeg: bytes) -> None:
    with transaction.atomic():
        row = Message.objects.select_related("instance").get(pk=message_id)
        content: dict[str, Any] = row.content
        if page is not None and "link_preview" not in content:
            words = {"url": link, "title": page.title, "description": page.description}
            content = {**content, "link_preview": {name: value for name, value in words.items() if value}}
            if jpeg:
                LinkPreview.objects.get_or_create(message=row, defaults={"thumbnail": jpeg})
        if row.status == Status.PREPARING and move(row, Status.QUEUED, content=content):
            transaction.on_commit(partial(wakeup.holder_of, row.instance_id))
            events.append([report(row, row.instance)])


def sweep(most: int = 200) -> None:
    """Ask again for previews whose wake-up got lost; let go what has waited for too long."""
    now = timezone.now()
    waiting = _waiting().annotate(since=Coalesce("send_at", "created_at"))
    for row in waiting.filter(since__lt=now - _LONGEST_WAIT)[:most]:
        _let_go(row.pk, "", None, b"")
    if waiting.filter(since__lt=now - _PATIENCE).exists():
        wakeup.task("messaging.tasks.preview")

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from conftest import Person, assert_problem
from media.models import Media
from media.tests.conftest import picture

pytestmark = pytest.mark.django_db
Stored = Callable[..., Media]


def content_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_a_signed_link_opens_a_file_without_credentials(alice: Person, anonymous: APIClient, stored: Stored) -> None:
    media = stored(alice, picture(), "a.jpg")
    found = alice.client.get(f"/api/media/{media.id}").json()
    answer = anonymous.get(urlsplit(found["url"]).path)
    assert (answer.status_code, content_of(answer)) == (200, picture())
    assert answer["Content-Type"] == "image/jpeg"
    assert answer["Content-Disposition"] == 'inline; filename="a.jpg"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, no-store"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert found["url_expires_at"]


@pytest.mark.parametrize(
    ("asked", "status", "got", "where"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99999", 206, b"89", "bytes 8-9/10"),
        ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=x-1", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
        (f"bytes={'9' * 5000}-", 200, b"0123456789", None),
    ],
)
def test_players_get_the_part_they_ask_for(
    alice: Person, anonymous: APIClient, stored: Stored, asked: str, status: int, got: bytes | None, where: str | None
) -> None:
    media = stored(alice, b"0123456789")
    link = urlsplit(alice.client.get(f"/api/media/{media.id}").json()["url"]).path
    for client, path in ((anonymous, link), (alice.client, f"/api/media/{media.id}/content")):
        answer: Any = client.get(path, HTTP_RANGE=asked)
        assert (answer.status_code, answer.headers.get("Content-Range")) == (status, where)
        if got is None:
            assert_problem(answer, 416, "range_not_satisfiable")
            continue
        assert (content_of(answer), answer["Content-Length"]) == (got, str(len(got)))
        assert (answer["Accept-Ranges"], answer["X-Content-Type-Options"]) == ("bytes", "nosniff")


def test_a_part_of_another_file_than_was_meant_is_not_given(alice: Person, stored: Stored) -> None:
    path = f"/api/media/{stored(alice, b'0123456789').id}/content"
    whole = alice.client.get(path)
    assert content_of(whole) == b"0123456789"
    for meant, status in ((whole["ETag"], 206), ('"another"', 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)):
        answer = alice.client.get(path, HTTP_RANGE="bytes=0-1", HTTP_IF_RANGE=meant)
        assert (answer.status_code, content_of(answer)) == (status, b"01" if status == 206 else b"0123456789")


def test_a_link_ends_with_its_time_its_key_and_its_file(
    alice: Person, anonymous: APIClient, stored: Stored, settings: Settings
) -> None:
    media = stored(alice, picture())
    path = urlsplit(alice.client.get(f"/api/media/{media.id}").json()["url"]).path
    forged = path.replace(media.id, stored(alice, picture()).id)
    for wrong in (forged, path + "x", path[:-1], "/files/nonsense", f"/files/{media.id}", "/files/a.b.c"):
        assert_problem(anonymous.get(wrong), 404, "not_found")
    key, settings.MEDIA_SIGNING_KEY = settings.MEDIA_SIGNING_KEY, "another"
    assert_problem(anonymous.get(path), 404, "not_found")
    settings.MEDIA_SIGNING_KEY, settings.MEDIA_LINK_SECONDS = key, -1
    past = urlsplit(alice.client.get(f"/api/media/{media.id}").json()["url"]).path
    assert_problem(anonymous.get(past), 404, "not_found")
    assert content_of(anonymous.get(path)) == picture()
    alice.client.delete(f"/api/media/{media.id}")
    assert_problem(anonymous.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "content",
    [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<html><script>alert(1)</script>", b"%PDF-1.4\n", b"\x00\x01"],
)
def test_what_a_browser_could_run_is_only_downloaded(alice: Person, stored: Stored, content: bytes) -> None:
    media = stored(alice, content, 'a".html')
    answer = alice.client.get(f"/api/media/{media.id}/content", HTTP_ACCEPT="text/html")
    assert (answer.status_code, content_of(answer)) == (200, content)
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment; ")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]


def test_only_who_may_see_a_file_gets_it(alice: Person, charlie: Person, stored: Stored) -> None:
    media = stored(alice, picture())
    for path in (f"/api/media/{media.id}", f"/api/media/{media.id}/content"):
        answer = alice.client.get(path)
        assert answer.status_code == 200
        assert content_of(answer) if answer.streaming else answer.json()
        assert_problem(charlie.client.get(path), 404, "not_found")
    assert_problem(charlie.client.delete(f"/api/media/{media.id}"), 404, "not_found")
    assert charlie.client.get("/api/media").json()["results"] == []
    assert_problem(alice.client.get("/api/media/nonsense"), 404, "not_found")


def test_a_test_key_sees_no_file_of_the_live_side(alice: Person) -> None:
    test, live = alice.program("read", "send"), alice.program("read", "send", mode="live")
    made = live.post("/api/media", {"data": "aGVsbG8="}, format="json").json()
    assert_problem(test.get(f"/api/media/{made['id']}"), 404, "not_found")
    assert live.get(f"/api/media/{made['id']}").status_code == 200


def test_a_deleted_file_stays_as_a_row_that_says_so(alice: Person, stored: Stored) -> None:
    media = stored(alice, picture())
    assert alice.client.delete(f"/api/media/{media.id}").status_code == 204
    assert alice.client.delete(f"/api/media/{media.id}").status_code == 204
    found = alice.client.get(f"/api/media/{media.id}").json()
    assert (found["status"], found["url"]) == ("expired", None)
    assert_problem(alice.client.get(f"/api/media/{media.id}/content"), 409, "media_not_stored")


def test_files_are_listed_by_status_and_source(alice: Person, stored: Stored) -> None:
    kept = stored(alice, picture())
    link = alice.client.post("/api/media", {"link": "https://example.com/a.jpg"}, format="json").json()
    assert link["status"] == "pending"

    def ids(query: str) -> list[str]:
        return [row["id"] for row in alice.client.get(f"/api/media?{query}").json()["results"]]

    assert ids("") == [link["id"], kept.id]
    assert ids("status=pending") == [link["id"]]
    assert ids("source=upload") == [kept.id]
    assert_problem(alice.client.get("/api/media?status=gone"), 400, "invalid_request")

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Person, assert_problem
from instances.models import Instance

pytestmark = pytest.mark.django_db


def qr(person: Person, instance: Instance, accept: str = "*/*", **query: str) -> Any:
    return person.client.get(f"/api/instances/{instance.id}/qr", query, HTTP_ACCEPT=accept)


def test_the_code_is_shown_with_its_end(alice: Person, showing: Instance) -> None:
    answer = qr(alice, showing)
    assert answer.status_code == 200
    assert set(answer.json()) == {"code", "expires_at"}
    assert answer.json()["code"] == showing.qr_code
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("accept", "format_", "start"),
    [
        ("image/png", "png", b"\x89PNG\r\n\x1a\n"),
        ("image/svg+xml", "svg", b"<?xml"),
        ("text/plain", "text", "\u2588\u2580\u2584".encode()[:1]),
        ("application/json", "json", b"{"),
    ],
)
def test_it_comes_as_a_picture_or_as_text(
    alice: Person, showing: Instance, accept: str, format_: str, start: bytes
) -> None:
    by_header, by_query = qr(alice, showing, accept), qr(alice, showing, format=format_)
    assert by_header.status_code == by_query.status_code == 200
    assert by_header["Content-Type"].startswith(accept)
    assert by_header["Content-Type"] == by_query["Content-Type"]
    assert by_header.content.startswith(start)
    assert by_header.content == by_query.content


def test_another_picture_cannot_be_had(alice: Person, showing: Instance) -> None:
    assert_problem(qr(alice, showing, "image/webp"), 406, "not_acceptable")
    assert_problem(qr(alice, showing, format="webp"), 404, "not_found")


def test_an_expired_code_is_not_shown(alice: Person, showing: Instance) -> None:
    Instance.objects.update(qr_expires_at=timezone.now() - timedelta(seconds=1))
    assert_problem(qr(alice, showing), 409, "no_qr")


@pytest.mark.parametrize("accept", ["image/png", "image/svg+xml", "text/plain", "text/html", "*/*"])
def test_without_a_code_the_problem_is_told_whatever_was_asked_for(
    alice: Person, instance: Instance, accept: str
) -> None:
    answer = qr(alice, instance, accept)
    if accept == "text/html":  # the page for people
        assert answer.status_code == 409
        assert "no_qr" in answer.content.decode()
    else:
        assert "connected" in assert_problem(answer, 409, "no_qr")["detail"]


def test_the_code_links_a_number_so_a_viewer_does_not_see_it(rita: Person, showing: Instance) -> None:
    assert_problem(qr(rita, showing), 403, "permission_denied")

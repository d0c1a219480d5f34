from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from conftest import Person, assert_problem
from instances.models import Instance

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(alice: Person, make_instance: Callable[..., Instance]) -> list[str]:
    """The ids of 7 rows, newest first."""
    return [make_instance(alice).id for _ in range(7)][::-1]


def page(person: Person, path: str) -> tuple[list[str], str | None, str | None]:
    answer = person.client.get(path)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return [row["id"] for row in body["results"]], body["next"], body["previous"]


def test_a_list_shows_the_newest_first(alice: Person, rows: list[str]) -> None:
    assert page(alice, "/api/instances") == (rows, None, None)


def test_next_and_previous_walk_the_whole_list(alice: Person, rows: list[str]) -> None:
    seen, next_path = [], "/api/instances?limit=3"
    while next_path:
        found, next_path, previous = page(alice, next_path)
        seen.append(found)
    assert seen == [rows[:3], rows[3:6], rows[6:]]
    back, _, first = page(alice, previous or "")
    assert back == rows[3:6]
    assert page(alice, first or "")[0] == rows[:3]


def test_rows_that_come_meanwhile_do_not_shift_the_pages(
    alice: Person, rows: list[str], make_instance: Callable[..., Instance]
) -> None:
    _, next_path, _ = page(alice, "/api/instances?limit=3")
    make_instance(alice)
    Instance.objects.filter(pk=rows[1]).delete()
    assert page(alice, next_path or "")[0] == rows[3:6]


def test_a_page_has_one_to_a_hundred_rows(alice: Person, rows: list[str]) -> None:
    Instance.objects.bulk_create(
        Instance(organization=alice.organization, name="x", network="sandbox") for _ in range(101 - len(rows))
    )
    assert len(page(alice, "/api/instances")[0]) == 50
    assert len(page(alice, "/api/instances?limit=1")[0]) == 1
    assert len(page(alice, "/api/instances?limit=100")[0]) == 100


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1000000", "many", "", "1.5", "²", "9" * 5000])
def test_another_limit_is_refused(alice: Person, limit: str) -> None:
    body = assert_problem(alice.client.get("/api/instances", {"limit": limit}), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/limit"


def _cursor(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "garbage",
        "é",
        _cursor("p=garbage"),
        _cursor("p=1"),
        _cursor("p=ins_zzz"),
        _cursor("p=ins_" + "z" * 26),
        _cursor("p=msg_01h455vb4pex5vsknk084sn02q"),
        _cursor("p=\x00"),
        _cursor("o=-1"),
        _cursor("o=many"),
    ],
)
def test_a_cursor_that_is_not_ours_is_refused(alice: Person, rows: list[str], cursor: str) -> None:
    assert_problem(alice.client.get("/api/instances", {"cursor": cursor}), 400, "invalid_cursor")


def test_a_cursor_leads_nobody_to_the_rows_of_another_tenant(alice: Person, charlie: Person, rows: list[str]) -> None:
    _, next_path, _ = page(alice, "/api/instances?limit=3")
    assert page(charlie, next_path or "")[0] == []

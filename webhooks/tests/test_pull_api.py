from __future__ import annotations

from typing import Any

import pytest

from conftest import Person, assert_problem
from instances.models import Instance
from webhooks.events import append


@pytest.fixture
def written(instance: Instance, draft: Any) -> list[Any]:
    mine = {"instance_id": instance.id}
    drafts = [draft(**mine), draft(**mine, type="message.sent"), draft(type="subscription.usage", instance_id=None)]
    return append([*drafts, draft(**mine, type="instance.qr")])


def pull(person: Person, query: str = "") -> Any:
    return person.client.get(f"/api/events{query}")


def test_the_log_is_read_page_by_page_from_the_oldest_event(alice: Person, written: Any, draft: Any) -> None:
    first = pull(alice, "?limit=3").json()
    assert [event["id"] for event in first["results"]] == [event.id for event in written[:3]]
    assert (first["has_more"], first["skipped"]) == (True, 0)
    second = pull(alice, f"?limit=3&after={first['next']}").json()
    assert second["results"] == [written[3].payload()]
    assert second["has_more"] is False
    third = pull(alice, f"?after={second['next']}").json()
    assert third == {"next": second["next"], "results": [], "has_more": False, "skipped": 0}
    (new,) = append([draft()])
    assert pull(alice, f"?after={third['next']}").json()["results"] == [new.payload()]


def test_latest_is_the_end(alice: Person, written: Any, draft: Any) -> None:
    end = pull(alice, "?after=latest").json()
    assert end["results"] == []
    (new,) = append([draft()])
    assert pull(alice, f"?after={end['next']}").json()["results"] == [new.payload()]


@pytest.mark.parametrize(
    ("query", "found"),
    [("types=message.sent", [1]), ("types=message.*,instance.qr", [0, 1, 3]), ("types=*", [0, 1, 2, 3])],
)
def test_types_are_chosen_by_patterns(alice: Person, written: Any, query: str, found: list[int]) -> None:
    results = pull(alice, f"?{query}").json()["results"]
    assert [event["id"] for event in results] == [written[n].id for n in found]


def test_an_instance_is_chosen_by_its_id(alice: Person, written: Any, instance: Instance, make_instance: Any) -> None:
    other = make_instance(alice)
    results = pull(alice, f"?instance={instance.id}").json()["results"]
    assert [event["id"] for event in results] == [written[n].id for n in (0, 1, 3)]
    assert pull(alice, f"?instance={other.id}").json()["results"] == []
    assert len(pull(alice, f"?instance={instance.id},{other.id}").json()["results"]) == 3


def test_another_tenants_instance_is_not_found_and_its_events_are_not_seen(
    charlie: Person, alice: Person, written: Any, instance: Instance
) -> None:
    assert_problem(pull(charlie, f"?instance={instance.id}"), 404, "not_found")
    cursor = pull(alice, "?limit=1").json()["next"]
    assert pull(charlie).json()["results"] == pull(charlie, f"?after={cursor}").json()["results"] == []


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("after=nonsense", "/after", "invalid_cursor"),
        ("types=message.smelled", "/types", "unknown_event_type"),
        ("types=", "/types", "blank"),
        ("instance=ins_1", "/instance", "invalid_id"),
        ("limit=0", "/limit", "min_value"),
        ("limit=101", "/limit", "max_value"),
        ("wait=31", "/wait", "max_value"),
        ("wait=-1", "/wait", "min_value"),
    ],
)
def test_what_is_not_valid_is_refused_with_the_parameters_name(
    alice: Person, query: str, pointer: str, code: str
) -> None:
    problem = assert_problem(pull(alice, f"?{query}"), 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]


def test_on_the_web_an_empty_page_is_answered_at_once(alice: Person) -> None:
    assert pull(alice, "?wait=30").json()["results"] == []

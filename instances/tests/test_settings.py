from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.models import Entry
from config.api.problems import Problem
from conftest import Person, assert_problem
from instances import settings
from instances.models import Instance
from webhooks.models import Event

NIGHT = {"from": "22:00", "to": "08:00", "timezone": "Europe/Berlin"}


def patch(person: Person, instance: Instance, **body: Any) -> Any:
    return person.client.patch(f"/api/instances/{instance.id}", body, format="json")


@pytest.mark.django_db
def test_a_number_is_human_like_on_whatsapp_and_fast_in_the_sandbox(
    alice: Person, make_instance: Callable[..., Instance]
) -> None:
    sandbox, live = make_instance(alice), make_instance(alice, network="whatsapp")
    shown = [alice.client.get(f"/api/instances/{one.id}").json()["settings"] for one in (sandbox, live)]
    assert [one["pacing"]["min_gap_ms"] for one in shown] == [0, 1000]
    assert [one["typing"]["simulate"] for one in shown] == [False, True]
    assert [one["pacing"]["new_contacts_per_day"] for one in shown] == [0, 250]


@pytest.mark.django_db
def test_what_is_not_named_stays_and_null_brings_a_default_back(alice: Person, instance: Instance) -> None:
    assert patch(alice, instance, settings={"pacing": {"min_gap_ms": 500, "quiet_hours": NIGHT}}).status_code == 200
    body = patch(alice, instance, name="Sales", settings={"pacing": {"jitter_ms": 100}, "typing": {}}).json()
    assert body["name"] == "Sales"
    assert body["settings"]["pacing"] == {
        "min_gap_ms": 500, "jitter_ms": 100, "new_contacts_per_day": 0, "quiet_hours": NIGHT,
    }  # fmt: skip
    body = patch(alice, instance, settings={"pacing": {"min_gap_ms": None, "quiet_hours": None}}).json()
    assert (body["settings"]["pacing"]["min_gap_ms"], body["settings"]["pacing"]["quiet_hours"]) == (0, None)
    instance.refresh_from_db()
    assert instance.settings == {"pacing": {"jitter_ms": 100}}
    assert alice.client.get(f"/api/instances/{instance.id}").json() == body


@pytest.mark.django_db
def test_a_whole_number_may_have_a_point(alice: Person, instance: Instance) -> None:
    changed = patch(alice, instance, settings={"media": {"max_bytes": 5000.0}})
    assert changed.json()["settings"]["media"]["max_bytes"] == 5000
    answer = patch(alice, instance, settings={"media": {"max_bytes": 5000.5}})
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/settings/media/max_bytes"


@pytest.mark.django_db
def test_a_change_is_told_and_recorded_and_none_is_not(alice: Person, instance: Instance) -> None:
    for _ in range(2):
        patch(alice, instance, settings={"client_ref_unique": True})
    event = Event.objects.get()
    assert (event.type, event.data["settings"]["client_ref_unique"]) == ("instance.updated", True)
    entry = Entry.objects.get(tag="api:instance:updated")
    assert (entry.subject, entry.changes) == (instance.id, {"settings": [{}, {"client_ref_unique": True}]})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"pacing": {"min_gap_ms": -1}}, "/settings/pacing/min_gap_ms", "invalid"),
        ({"pacing": {"min_gap_ms": "5"}}, "/settings/pacing/min_gap_ms", "invalid"),
        ({"pacing": {"speed": None}}, "/settings/pacing/speed", "unknown_field"),
        ({"pace": {}}, "/settings/pace", "unknown_field"),
        ({"pacing": {"quiet_hours": {"from": "22:00"}}}, "/settings/pacing/quiet_hours/to", "required"),
        ({"pacing": {"quiet_hours": NIGHT | {"from": "24:00"}}}, "/settings/pacing/quiet_hours/from", "invalid"),
        ({"pacing": {"quiet_hours": NIGHT | {"to": "22:00"}}}, "/settings/pacing/quiet_hours", "same_times"),
        (
            {"pacing": {"quiet_hours": NIGHT | {"timezone": "Mars"}}},
            "/settings/pacing/quiet_hours/timezone",
            "unknown_timezone",
        ),
        ({"media": {"download": ["image", "smell"]}}, "/settings/media/download/1", "invalid"),
        ({"typing": {"simulate": 1}}, "/settings/typing/simulate", "invalid"),
        ({"typing": 1}, "/settings/typing", "invalid"),
    ],
)
def test_a_wrong_setting_is_named(
    alice: Person, instance: Instance, change: dict[str, Any], pointer: str, code: str
) -> None:
    (error,) = assert_problem(patch(alice, instance, settings=change), 400, "invalid_request")["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    instance.refresh_from_db()
    assert instance.settings == {}


@pytest.mark.django_db
@pytest.mark.parametrize("body", [{"name": ""}, {"name": None}, {"settings": None}, {"settings": []}, {"wanted": "x"}])
def test_a_wrong_body_is_refused(alice: Person, instance: Instance, body: dict[str, Any]) -> None:
    assert_problem(patch(alice, instance, **body), 400, "invalid_request")


@pytest.mark.django_db
def test_rita_and_charlie_change_nothing(rita: Person, charlie: Person, instance: Instance) -> None:
    assert_problem(patch(rita, instance, name="Hers"), 403, "permission_denied")
    assert_problem(patch(charlie, instance, name="His"), 404, "not_found")


def test_stored_settings_of_another_version_do_not_stop_a_number() -> None:
    assert settings.of(Instance(network="sandbox", settings={"pacing": {"gone": 1}})) == settings.DEFAULTS["sandbox"]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
names = st.sampled_from(["pacing", "typing", "quiet_hours", "media", "download", "min_gap_ms", "simulate", "x"])


@given(st.dictionaries(names, json | st.dictionaries(names, json, max_size=3), max_size=3))
def test_whatever_is_asked_it_is_taken_or_refused(change: dict[str, Any]) -> None:
    try:
        stored = settings.changed("whatsapp", {}, change)
    except Problem:
        return
    msgspec.convert(settings.shown(Instance(network="whatsapp", settings=stored)), settings.AllSettings)
    assert settings.changed("whatsapp", stored, change) == stored

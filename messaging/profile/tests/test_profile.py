"""What a number shows of itself, and to whom."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from audit.models import Entry
from conftest import Person, assert_problem
from instances.models import Instance
from instances.whatsapp.jids import Jid
from media.models import Media
from media.tests.conftest import picture
from messaging.models import Contact
from messaging.profile.tests.conftest import CARLA, CARLAS_LID, Number

pytestmark = pytest.mark.django_db


def path(number: Number, what: str) -> str:
    return f"/api/instances/{number.instance_id}/{what}"


def change(person: Person, method: str, where: str, body: dict[str, Any] | None = None) -> Any:
    return getattr(person.client, method)(where, body or {}, format="json")


def audited() -> list[tuple[str, dict[str, Any]]]:
    return [(row.tag, row.changes) for row in Entry.objects.order_by("sequence") if ":instance:" in row.tag]


def test_only_what_is_named_of_a_profile_changes(alice: Person, number: Number) -> None:
    shown = change(alice, "patch", path(number, "profile"), {"name": "Acme Shop"}).json()
    assert (shown["name"], shown["about"], shown["phone"]) == ("Acme Shop", None, number.instance.phone)
    assert number.announced == ["Acme Shop"]
    shown = change(alice, "patch", path(number, "profile"), {"about": "Open till nine"}).json()
    assert (shown["name"], shown["about"]) == ("Acme Shop", "Open till nine")
    assert number.announced == ["Acme Shop"]
    assert [one for one in number.account.asked if one in ("name", "about")] == ["name", "about"]
    assert [changes for tag, changes in audited() if tag.endswith("profile_updated")] == [
        {"name": "Acme Shop"},
        {"about": "Open till nine"},
    ]
    assert alice.client.get(path(number, "profile")).json() == shown


@pytest.mark.parametrize(
    ("what", "body", "pointer", "code"),
    [
        ("profile", {"name": ""}, "/name", "blank"),
        ("profile", {"name": "x" * 26}, "/name", "max_length"),
        ("profile", {"about": "x" * 140}, "/about", "max_length"),
        ("profile", {"picture": "x"}, "/picture", "unknown_field"),
        ("privacy", {"last_seen": "known"}, "/last_seen", "invalid_choice"),
        ("privacy", {"read_receipts": "contacts"}, "/read_receipts", "invalid_choice"),
        ("privacy", {"stickers": "all"}, "/stickers", "unknown_field"),
        ("privacy", {"disappearing_seconds": 60}, "/disappearing_seconds", "choice"),
    ],
)
def test_what_whatsapp_would_not_take_is_refused_before_it_is_asked(
    alice: Person, number: Number, what: str, body: dict[str, Any], pointer: str, code: str
) -> None:
    problem = assert_problem(change(alice, "patch", path(number, what), body), 400, "invalid_request")
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [(pointer, code)]
    assert number.account.asked == []


def test_a_picture_is_made_a_square_jpeg(alice: Person, number: Number, stored: Callable[..., Media]) -> None:
    media = stored(alice, picture((900, 700), "PNG"))
    answer = change(alice, "put", path(number, "profile/picture"), {"id": media.id})
    assert (answer.status_code, answer.json()) == (200, {"id": "18"})
    made = Image.open(io.BytesIO(number.account.jpeg))
    assert (made.format, made.size) == ("JPEG", (640, 640))
    broken = stored(alice, b"\xff\xd8\xff\xe0 no picture")
    assert_problem(change(alice, "put", path(number, "profile/picture"), {"id": broken.id}), 422, "media_unusable")
    assert [tag.rpartition(":")[2] for tag, _ in audited()].count("picture_updated") == 1


def test_a_file_that_is_no_picture_is_refused_where_it_stands(alice: Person, charlie: Person, number: Number) -> None:
    where = path(number, "profile/picture")
    problem = assert_problem(change(alice, "put", where, {"data": "aGVsbG8="}), 400, "invalid_request")
    assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [("/data", "media_type_not_allowed")]
    for body in ({}, {"id": "med_01h455vb4pex5vsknk084sn02q", "data": "aGVsbG8="}):
        assert_problem(change(alice, "put", where, body), 400, "invalid_request")
    assert_problem(change(charlie, "put", where, {"data": "aGVsbG8="}), 404, "not_found")
    assert_problem(alice.client.delete(where), 501, "unsupported_by_engine")


def test_privacy_settings_change_one_by_one(alice: Person, number: Number) -> None:
    wanted = {"last_seen": "contacts", "groups": "contact_blacklist", "disappearing_seconds": 604_800}
    answer = change(alice, "patch", path(number, "privacy"), wanted)
    assert answer.json()["last_seen"] == "contacts"
    assert (answer.json()["online"], number.account.disappearing) == ("all", 604_800)
    number.account.settings["about"] = None  # a value without a word for it
    assert alice.client.get(path(number, "privacy")).json()["about"] is None


def test_presence_is_shown_on_demand(bob: Person, number: Number) -> None:
    for word in ("available", "unavailable"):
        assert change(bob, "put", path(number, "presence"), {"presence": word}).json() == {"presence": word}
    assert number.shown == [True, False]


def test_people_are_blocked_by_any_of_their_names_and_never_named_in_the_audit_log(bob: Person, number: Number) -> None:
    for name in (CARLA, f"{CARLA}@s.whatsapp.net", "777@lid"):
        assert change(bob, "put", path(number, f"blocks/{name}")).status_code == 204
    assert number.account.blocks == {CARLAS_LID}
    (shown,) = bob.client.get(path(number, "blocks")).json()["results"]
    assert (shown["phone"], shown["lid"]) == (CARLA, "777@lid")
    assert bob.client.delete(path(number, f"blocks/{CARLA}")).status_code == 204
    assert number.account.blocks == set()
    assert [tag.rpartition(":")[2] for tag, _ in audited()] == ["contact_blocked"] * 3 + ["contact_unblocked"]
    assert CARLA not in str(audited())
    assert_problem(change(bob, "put", path(number, "blocks/15550100003")), 422, "not_on_whatsapp")
    assert_problem(change(bob, "put", path(number, "blocks/120363000000000001@g.us")), 409, "not_a_person")


def test_somebody_without_a_known_phone_is_shown_by_the_lid(alice: Person, number: Number) -> None:
    number.account.blocks = {Jid("888", "lid")}
    (shown,) = alice.client.get(path(number, "blocks")).json()["results"]
    assert shown == {"id": "888@lid", "phone": None, "lid": "888@lid", "name": None}


def test_a_contact_link_is_replaced(alice: Person, bob: Person, number: Number) -> None:
    old = bob.client.get(path(number, "contact-link")).json()
    assert_problem(change(bob, "post", path(number, "contact-link/revoke")), 403, "permission_denied")
    new = change(alice, "post", path(number, "contact-link/revoke")).json()
    assert new != old
    assert bob.client.get(path(number, "contact-link")).json() == new


def test_what_the_engine_refuses_is_told_and_not_noted_as_done(alice: Person, number: Number) -> None:
    number.account.error = "info query returned status 500: internal-server-error"
    problem = assert_problem(change(alice, "patch", path(number, "profile"), {"about": "x"}), 502, "engine_failed")
    assert "status 500" in problem["detail"]
    assert audited() == []


def test_a_number_that_was_never_linked_has_no_profile(alice: Person, number: Number) -> None:
    Instance.objects.filter(pk=number.instance_id).update(phone=None)
    assert_problem(alice.client.get(path(number, "profile")), 503, "instance_offline")
    assert not Contact.objects.exists()

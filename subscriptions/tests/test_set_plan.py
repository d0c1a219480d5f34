from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from conftest import Person
from subscriptions.models import Plan

pytestmark = pytest.mark.django_db


def set_plan(*arguments: str) -> str:
    out = io.StringIO()
    call_command("set_plan", *arguments, stdout=out)
    return out.getvalue()


def test_an_operator_gives_an_organization_a_plan(alice: Person) -> None:
    assert set_plan(alice.organization.id, "max") == "Alice has the plan max.\n"
    assert alice.client.get("/api/subscription").json()["plan"]["code"] == "max"


def test_or_one_of_its_own(alice: Person, charlie: Person) -> None:
    set_plan(alice.organization.id, "acme", "--instances=200", "--messages-per-month=7")
    body = alice.client.get("/api/subscription").json()
    assert (body["instances"]["sandbox"]["limit"], body["messages"]["sandbox"]["limit"]) == (200, 7)
    assert not Plan.objects.get(pk="acme").is_public
    set_plan(alice.organization.id, "acme", "--instances=200", "--messages-per-month=8")
    assert alice.client.get("/api/subscription").json()["messages"]["sandbox"]["limit"] == 8
    assert charlie.client.get("/api/subscription").json()["plan"]["code"] == "basic"


def test_and_an_end_to_it(alice: Person) -> None:
    for until, shown in (("2999-01-31T00:00:00Z", "2999-01-31T00:00:00.000Z"), ("never", None)):
        set_plan(alice.organization.id, "pro", f"--until={until}")
        assert alice.client.get("/api/subscription").json()["expires_at"] == shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["org_unknown", "pro"], "There is no organization"),
        (["ALICE", "pro", "--until=2999-01-31"], "--until"),
        (["ALICE", "pro", "--until=tomorrow"], "--until"),
        (["ALICE", "gold"], "There are: basic, pro, max."),
        (["ALICE", "gold", "--instances=5"], "cannot be null"),
        (["ALICE", "GOLD!", "--instances=5", "--messages-per-month=5"], "slug"),
        (["ALICE", "gold", "--instances=-5", "--messages-per-month=5"], "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(alice: Person, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words) as error:
        set_plan(*[alice.organization.id if one == "ALICE" else one for one in arguments])
    assert "\n" not in str(error.value)
    assert Plan.objects.count() == 3

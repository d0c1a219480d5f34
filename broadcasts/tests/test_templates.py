"""Templates: kept messages with places for values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcasts import templating
from broadcasts.tests.conftest import HELLO, Make, feed
from conftest import Person, assert_problem
from messaging.models import Message

pytestmark = pytest.mark.django_db


def create(person: Person, name: str = "Greeting", **message: Any) -> Any:
    body = {"name": name, "message": message or HELLO}
    return person.client.post("/api/templates", body, format="json")


def test_a_template_tells_its_variables(bob: Person, charlie: Person) -> None:
    text = {"body": "{{ greeting|Hello }} {{name}}, {{name|you}}: {{order_7|}}."}
    made = create(bob, text=text)
    assert made.status_code == 201
    assert made.json()["variables"] == [
        {"name": "greeting", "default": "Hello"},
        {"name": "name", "default": None},
        {"name": "order_7", "default": ""},
    ]
    assert bob.client.get("/api/templates").json()["results"] == [made.json()]
    assert charlie.client.get("/api/templates").json()["results"] == []
    assert_problem(charlie.client.get(f"/api/templates/{made.json()['id']}"), 404, "not_found")


def test_names_are_unique_within_an_organization(alice: Person, charlie: Person) -> None:
    assert create(alice).status_code == create(charlie).status_code == 201
    assert_problem(create(alice), 409, "template_name_taken")
    other = create(alice, "Other").json()
    answer = alice.client.patch(f"/api/templates/{other['id']}", {"name": "Greeting"}, format="json")
    assert_problem(answer, 409, "template_name_taken")


@pytest.mark.parametrize(
    ("message", "pointer", "code"),
    [
        ({"text": {"body": ""}}, "/message/text/body", "invalid"),
        ({"text": {"body": "Hello {{Name}}"}}, "/message/text/body", "invalid_variable"),
        ({"text": {"body": "Hello {{name"}}, "/message/text/body", "invalid_variable"),
        ({"text": {"body": "{{name}}" * 201}}, "/message", "too_many_variables"),
        ({"text": {"body": "{{name|{{other}}}}"}}, "/message/text/body", "invalid_variable"),
        ({"text": {"body": "Hello"}, "to": "15550100002"}, "/message/to", "unknown_field"),
        ({"text": {"body": "Hello"}, "instance": "ins_x"}, "/message/instance", "unknown_field"),
        ({"text": {"body": "Hello"}, "client_ref": "x"}, "/message/client_ref", "unknown_field"),
        ({"text": {"body": "Hello", "font": "x"}}, "/message/text/font", "unknown_field"),
        ({"text": {"body": "\x00"}}, "/message/text/body", "null_characters_not_allowed"),
        ({"type": "image", "image": {"data": "aGVsbG8="}}, "/message/image/data", "data_for_many"),
        ({"type": {}, "text": {"body": "Hello"}}, "/message/type", "invalid"),
        ({"type": "revoke", "revoke": {"message_id": "x"}}, "/message/type", "not_for_many"),
        ({"text": {"body": "".join(f"{{{{v{n}}}}}" for n in range(51))}}, "/message", "too_many_variables"),
    ],
)
def test_what_is_no_message_is_no_template(alice: Person, message: dict[str, Any], pointer: str, code: str) -> None:
    problem = assert_problem(create(alice, **message), 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]


def test_a_long_default_is_read_at_once(alice: Person) -> None:
    spaces = " " * 20_000
    assert create(alice, text={"body": f"Hello {{{{name|{spaces}you{spaces}}}}}"}).json()["variables"] == [
        {"name": "name", "default": "you"}
    ]
    assert_problem(create(alice, "Open", text={"body": f"Hello {{{{name|{spaces}"}), 400, "invalid_request")


def test_places_may_stand_wherever_a_text_may(alice: Person) -> None:
    link = {"link": "https://example.com/{{file}}.jpg", "caption": "For {{name}}"}
    assert create(alice, "Picture", type="image", image=link).status_code == 201
    assert create(alice, "Any", type="image", image={"link": "{{url}}"}).status_code == 201
    poll = {"question": "{{name}}?", "options": ["{{one|Yes}}", "{{other|No}}"]}
    made = create(alice, "Poll", type="poll", poll=poll).json()
    values = {"name": "Carla", "one": "Now"}
    answer = alice.client.post(f"/api/templates/{made['id']}/preview", {"variables": values}, format="json")
    assert answer.json() == {"message": {"type": "poll", "poll": {"question": "Carla?", "options": ["Now", "No"]}}}


def test_a_preview_refuses_what_a_recipient_would_be_refused_for(alice: Person) -> None:
    made = create(alice, text={"body": "Hello {{name}} {{order}}"}).json()

    def preview(**variables: str) -> dict[str, Any]:
        answer = alice.client.post(f"/api/templates/{made['id']}/preview", {"variables": variables}, format="json")
        return assert_problem(answer, 400, "invalid_request")

    assert [error["pointer"] for error in preview()["errors"]] == ["/variables/name", "/variables/order"]
    assert preview(name="x", order="y", other="z")["errors"][0]["code"] == "unknown_variable"


def test_an_edit_changes_no_broadcast_under_way(alice: Person, make: Make) -> None:
    template = create(alice).json()
    address = f"/api/templates/{template['id']}"
    made = make(message=None, template_id=template["id"])
    assert made["template_id"] == template["id"]
    change = {"message": {"text": {"body": "Bye"}}}
    assert alice.client.patch(address, change, format="json").json()["message"] == change["message"]
    assert alice.client.delete(address).status_code == 204
    feed()
    assert {row.content["body"] for row in Message.objects.all()} == {"Hello there"}
    assert alice.client.get(f"/api/broadcasts/{made['id']}").json()["template_id"] is None


def test_a_broadcast_has_a_template_or_a_message(alice: Person, charlie: Person, instance: Any) -> None:
    template = create(charlie).json()
    body = {"instance": instance.id, "recipients": [{"to": "15550100002"}], "template_id": template["id"]}
    assert_problem(alice.client.post("/api/broadcasts", body, format="json"), 404, "not_found")
    both = body | {"message": HELLO}
    assert_problem(alice.client.post("/api/broadcasts", both, format="json"), 400, "invalid_request")


_WORDS = st.text(alphabet=st.sampled_from("ab{}|_ \n\"'$\\%é"), max_size=30)


@given(values=st.dictionaries(st.sampled_from(["a", "b"]), _WORDS), text=_WORDS)
def test_what_a_value_brings_is_never_a_place(values: dict[str, str], text: str) -> None:
    message = {"body": f"<{text}>{{{{a|none}}}}", "list": [1, None, True, "{{b|none}}"]}
    rendered = templating.render(message, {"ab": "", "a": "", "b": "", "_": ""} | values)
    assert rendered["list"] == [1, None, True, values.get("b", "")]
    assert rendered["body"].endswith(f">{values.get('a', '')}")

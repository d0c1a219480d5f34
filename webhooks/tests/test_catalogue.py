"""What is written, served and documented of events is the same, and small."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest
from django.conf import settings
from rest_framework.test import APIClient

from messaging.models import Message
from messaging.selectors import message_data
from tests.conformance import check_event
from webhooks import catalogue, truncation
from webhooks.api.event_types import example_of, schema_of
from webhooks.events import append
from webhooks.models import Event


@pytest.mark.parametrize("type_", catalogue.TYPES)
def test_each_type_has_a_schema_that_its_example_fits(type_: str) -> None:
    content = catalogue.contents()[type_]
    jsonschema_rs.Draft202012Validator(schema_of(content.shape), validate_formats=True).validate(dict(content.example))
    with pytest.raises(AssertionError):
        check_event(type_, {**content.example, "smell": "sweet"})


def test_the_types_are_served_to_everybody_with_schemas_that_stand_in_the_answer(anonymous: APIClient, db: Any) -> None:
    body = anonymous.get("/api/event-types").json()
    assert [one["type"] for one in body["results"]] == list(catalogue.TYPES)
    for one in body["results"]:
        schema = {**one["schema"], "$defs": body["$defs"]}
        jsonschema_rs.Draft202012Validator(schema).validate(one["example"]["data"])


def test_an_example_is_an_event_as_listeners_get_it(db: Any, draft: Any) -> None:
    (event,) = append([draft()])
    assert list(example_of(event.type)) == list(event.payload())


def test_every_type_is_a_webhook_of_the_description_of_the_api(anonymous: APIClient, db: Any) -> None:
    webhooks = anonymous.get("/api/schema", HTTP_ACCEPT="application/json").json()["webhooks"]
    assert list(webhooks) == list(catalogue.TYPES)


LONG: dict[str, dict[str, Any]] = {
    "a text of 65,536 characters": {"type": "text", "content": {"body": 65_536 * "é"}},
    "one of characters that JSON escapes": {"type": "text", "content": {"body": 65_536 * "\x01"}},
    "a thousand mentions": {
        "type": "text",
        "content": {"body": "Hello"},
        "attributes": {
            "mentions": [
                {"id": f"1555{n:07}@s.whatsapp.net", "phone": f"1555{n:07}", "lid": None, "name": 200 * "n"}
                for n in range(1000)
            ]
        },
    },
    "huge options of a poll": {
        "type": "poll",
        "content": {"question": 4000 * "?", "options": 500 * [4000 * "o"], "selectable": 1},
    },
    "vCards": {
        "type": "contacts",
        "content": [
            {
                "name": {"formatted_name": 500 * "n"},
                "phones": 300 * [{"phone": "+1 555 010 0002"}],
                "vcard": 100_000 * "v",
            }
        ]
        * 300,
    },
}


@pytest.mark.parametrize("columns", LONG.values(), ids=LONG)
def test_an_event_has_less_than_20_kilobytes_whatever_the_message(
    db: Any, draft: Any, columns: dict[str, Any], instance: Any
) -> None:
    row = Message(
        organization_id=instance.organization_id, instance=instance, direction="inbound", status="received",
        chat="15550100002@s.whatsapp.net", sender_phone="15550100002", **columns,
    )  # fmt: skip
    data = message_data(row, instance)
    (event,) = append([draft(instance_id=instance.id, data=data)])
    assert len(event.encoded()) < 20_000
    assert event.data["truncated"] is True
    assert event.data["id"] == row.id
    check_event(event.type, event.data)
    assert Event.objects.get(pk=event.pk).payload() == event.payload()


def test_what_fits_is_left_alone() -> None:
    data = {"body": (truncation.MOST_BYTES - 600) * "a"}
    kept, encoded = truncation.encode(data)
    assert kept is data
    assert orjson.loads(encoded) == data


def test_the_page_of_types_has_a_section_for_each() -> None:
    text = (settings.BASE_DIR / "docs" / "events.md").read_text()
    assert [f"### `{type_}`" in text for type_ in catalogue.TYPES] == [True] * len(catalogue.TYPES)

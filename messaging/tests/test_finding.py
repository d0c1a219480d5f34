"""The filters of the list of messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from config.ids import first_id
from conftest import Person, assert_problem
from instances.models import Instance
from messaging.models import Message
from messaging.tests.test_list_messages import listed

pytestmark = [pytest.mark.django_db, pytest.mark.every_case]
Make = Callable[..., Message]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ({"direction": "inbound"}, {"direction": "inbound", "status": "received"}),
        ({"direction": "inbound", "status": "received"}, {"direction": "inbound", "status": "received"}),
        ({"status": "failed"}, {"status": "failed"}),
        ({"status": "cancelled,failed"}, {"status": "failed"}),
        ({"type": "image"}, {"type": "image", "content": {}}),
        ({"type": "image,video", "direction": "outbound"}, {"type": "image", "content": {}}),
        ({"origin": "phone"}, {"origin": "phone"}),
        ({"history": "true"}, {"history": True}),
        ({"client_ref": "order 1"}, {"client_ref": "order 1"}),
        ({"chat": "15550100003", "status": "held"}, {"chat": "15550100003@s.whatsapp.net", "status": "held"}),
    ],
)
def test_those_with_a_property_are_found(
    alice: Person,
    instance: Instance,
    make_instance: Any,
    make_message: Make,
    query: dict[str, str],
    columns: dict[str, Any],
    named: bool,
) -> None:
    found = make_message(instance, **columns)
    make_message(instance, client_ref="order 2")
    if not named:
        make_message(make_instance(alice), client_ref="order 3")
    assert listed(alice, **query, **({"instance": instance.id} if named else {})) == [found.id]


def test_history_can_be_left_out(alice: Person, instance: Instance, make_message: Make) -> None:
    make_message(instance, history=True)
    live = make_message(instance)
    assert listed(alice, history="false") == [live.id]


def test_a_time_is_that_of_the_ids(alice: Person, instance: Instance, make_message: Make) -> None:
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    ids = [first_id(noon + timedelta(minutes=n), "msg") for n in range(3)]
    for id_ in ids:
        make_message(instance, id=id_)
    assert listed(alice, since="2026-01-05T12:01:00Z") == [ids[2], ids[1]]
    assert listed(alice, until="2026-01-05T12:01:00Z") == [ids[0]]
    assert listed(alice, since="2026-01-05T13:01:00+01:00", until="2026-01-05T12:01:00.001Z") == [ids[1]]
    assert listed(alice, since="0001-01-01T00:00:00Z", until="9999-12-31T23:59:59Z") == ids[::-1]
    assert listed(alice, since=timezone.now().isoformat()) == []


def test_a_plus_of_a_time_zone_that_was_not_escaped_is_understood(alice: Person, instance: Instance) -> None:
    assert alice.client.get("/api/messages?since=2026-01-05T13:01:00+01:00").status_code == 200


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ({"direction": "sideways"}, "/direction", "invalid_choice"),
        ({"status": "sent,lost"}, "/status", "invalid_choice"),
        ({"status": ""}, "/status", "blank"),
        ({"type": "text,"}, "/type", "invalid_choice"),
        ({"origin": "me"}, "/origin", "invalid_choice"),
        ({"history": "perhaps"}, "/history", "invalid"),
        ({"since": "yesterday"}, "/since", "invalid"),
        ({"q": "!?"}, "/q", "no_words"),
        ({"q": "a*"}, "/q", "prefix_too_short"),
        ({"q": "a " * 21}, "/q", "too_many_words"),
        ({"q": "\x00"}, "/q", "null_characters_not_allowed"),
    ],
)
def test_what_is_no_filter_is_refused(alice: Person, query: dict[str, str], pointer: str, code: str) -> None:
    body = assert_problem(alice.client.get("/api/messages", query), 400, "invalid_request")
    assert (body["errors"][0]["pointer"], body["errors"][0]["code"]) == (pointer, code)

"""What a handshake may ask for, and how it is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import override_settings
from pytest_django import Settings

from accounts.models import ApiKey
from config.ids import new_id
from conftest import Person
from webhooks.live import feeds, places
from webhooks.tests.sockets import close_code, commit, opens, outside, received, refusal, said, socket

pytestmark = pytest.mark.usefixtures("committed")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("types=message.nonsense", 400, "invalid_request"),
        ("types=", 400, "invalid_request"),
        ("instances=ins_1", 400, "invalid_request"),
        ("after=nonsense", 400, "invalid_request"),
        ("since=1", 400, "unknown_parameter"),
        ("&".join(f"a{n}=1" for n in range(101)), 400, "invalid_request"),
    ],
)
async def test_wrong_parameters_are_refused_with_a_problem(key: str, query: str, status: int, code: str) -> None:
    async with socket(key, path=f"/ws/events?{query}") as communicator:
        problem = await refusal(communicator)
        assert (problem["status"], problem["code"]) == (status, code)


async def test_a_wrong_cursor_is_named(key: str) -> None:
    async with socket(key, path="/ws/events?after=nonsense") as communicator:
        (error,) = (await refusal(communicator))["errors"]
        assert (error["pointer"], error["code"]) == ("/after", "invalid_cursor")


async def test_refusals_say_why(alice: Person) -> None:
    send_only = await outside(alice.key, "send")
    for credential, path, status, code in [
        ("", "/ws/events", 401, "not_authenticated"),
        ("wak_test_nonsense", "/ws/events", 401, "invalid_credentials"),
        ("", "/ws/events?ticket=wtk_nonsense", 401, "invalid_token"),
        (send_only, "/ws/events", 403, "missing_scope"),
    ]:
        async with socket(credential, path=path) as communicator:
            problem = await refusal(communicator)
            assert (problem["status"], problem["code"]) == (status, code)
            assert problem["request_id"].startswith("req_")


async def test_a_limited_key_cannot_name_other_instances(alice: Person, key: str) -> None:
    mine, other = new_id("ins"), new_id("ins")
    await outside(ApiKey.objects.update, instances=[mine])
    async with socket(key, path=f"/ws/events?instances={other}") as refused:
        assert (await refusal(refused))["code"] == "permission_denied"
    async with socket(key, path=f"/ws/events?instances={mine}") as communicator:
        assert await opens(communicator)


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("https://api.example.com", "api.example.com", True),
        ("https://api.example.com", "127.0.0.1:8000", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("https://shop.example.com", "api.example.com", True),
        ("http://shop.example.com", "api.example.com", False),
        ("https://evil.example.com", "api.example.com", False),
        ("https://evil.example.com", "evil.example.com", False),  # a name that was led to our address
        ("http://127.0.0.1:9000", "127.0.0.1:8000", False),
        ("null", "api.example.com", False),
        ("http://[", "[", False),
        ("", "", False),
    ],
)
async def test_pages_of_other_origins_are_refused(
    key: str, settings: Settings, origin: str, host: str, allowed: bool
) -> None:
    settings.PUBLIC_URL = "https://api.example.com"
    settings.ALLOWED_HOSTS = ["api.example.com", "127.0.0.1"]
    settings.CORS_ALLOWED_ORIGINS = ["https://shop.example.com"]
    async with socket(key, origin=origin, host=host) as communicator:
        if allowed:
            assert await opens(communicator)
        else:
            problem = await refusal(communicator)
            assert (problem["status"], problem["code"]) == (403, "origin_not_allowed")


async def test_filters_of_the_address_decide_what_is_heard(key: str, draft: Any) -> None:
    mine, other = new_id("ins"), new_id("ins")
    path = f"/ws/events?types=instance.*,message.sent&instances={mine}"
    async with socket(key, path=path) as communicator:
        connected, _ = await communicator.connect(timeout=10)
        assert connected
        ready = await said(communicator, "ready")
        assert ready["subscriptions"] == [{"types": ["instance.*", "message.sent"], "instances": [mine]}]
        await outside(commit, draft(instance_id=mine), draft(instance_id=other, type="message.sent"))
        events = await outside(
            commit, draft(instance_id=mine, type="message.sent"), draft(instance_id=mine, type="instance.state")
        )
        assert await received(communicator, 2) == [event.payload() for event in events]


async def test_an_organization_has_so_many_sockets_and_no_more(
    charlie: Person, key: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SOCKETS_PER_ORGANIZATION = 2
    async with socket(key) as first, socket(key) as third, socket(await outside(charlie.key)) as foreign:
        async with socket(key) as second:
            assert await opens(first)
            assert await opens(second)
            problem = await refusal(third)
            assert (problem["status"], problem["code"]) == (429, "too_many_sockets")
            assert await opens(foreign)
        async with socket(key) as fourth:
            assert await opens(fourth)


async def test_sockets_of_other_processes_count_until_they_have_been_silent_for_long(
    alice: Person, key: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SOCKETS_PER_ORGANIZATION = 3
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(places, "_process", "another")
        assert await outside(places._put, alice.organization.id, 3, refuse=True)
    async with socket(key) as refused:
        assert (await refusal(refused))["code"] == "too_many_sockets"
    with monkeypatch.context() as killed:
        killed.setattr(places, "KEEP_SECONDS", -1)
        killed.setattr(places, "_process", "another")
        assert await outside(places._put, alice.organization.id, 3, refuse=False)
    async with socket(key) as communicator:
        assert await opens(communicator)


async def test_counts_are_renewed_after_redis_was_emptied(
    alice: Person, key: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "RENEW_SECONDS", 0.05)
    server = redis.Redis.from_url(settings.REDIS_URL)
    name = f"sockets:{alice.organization.id}"
    async with socket(key) as communicator:
        assert await opens(communicator)
        assert server.hlen(name) == 1
        server.delete(name)
        async with asyncio.timeout(10):
            while not server.hlen(name):
                await asyncio.sleep(0.02)


async def test_without_redis_sockets_open_and_hear_from_the_database(
    key: str, draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "CHECK_SECONDS", 0.2)
    nowhere = "unix:///nowhere/valkey.sock"
    layers = {"default": settings.CHANNEL_LAYERS["default"] | {"CONFIG": {"hosts": [nowhere]}}}
    with override_settings(REDIS_URL=nowhere, CHANNEL_LAYERS=layers):
        async with socket(key) as communicator:
            assert await opens(communicator)
            events = await outside(commit, draft(), draft())
            assert await received(communicator, 2) == [event.payload() for event in events]


async def test_a_client_that_says_too_much_is_cut_off(key: str) -> None:
    async with socket(key) as communicator:
        assert await opens(communicator)
        for _ in range(101):
            await communicator.send_json_to({"action": "ping"})
        assert await close_code(communicator) == 4429

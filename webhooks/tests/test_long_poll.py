"""Requests that wait for events, on the live process's application and on a real daphne."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.cache import caches
from django.db import connections

from accounts.models import ApiKey
from config.asgi import application
from conftest import Person
from webhooks import polling
from webhooks.live import feeds
from webhooks.polling import LongPoll
from webhooks.tests.sockets import commit, commit_unannounced, outside


@contextlib.asynccontextmanager
async def client(key: str, app: Any = application, uds: Path | None = None) -> AsyncIterator[httpx.AsyncClient]:
    transport: Any = (
        httpx.ASGITransport(app)
        if uds is None
        else httpx.AsyncHTTPTransport(uds=str(uds), limits=httpx.Limits(max_connections=None))
    )
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers, timeout=40) as one:
        yield one


async def waiting(count: int = 1) -> None:
    """Until so many polls wait."""
    while sum(len(feed.listeners) for feed in list(feeds._feeds.values())) < count:
        await asyncio.sleep(0.01)


async def test_an_empty_page_waits_for_an_event_and_hears_it_within_a_second(key: str, draft: Any) -> None:
    async with client(key) as alice:
        poll = asyncio.create_task(alice.get("/api/events?wait=30"))
        await waiting()
        (event,) = await outside(commit, draft())
        started = time.monotonic()
        answer = await poll
        assert time.monotonic() - started < 1
        assert answer.json()["results"] == [event.payload()]
        again = await alice.get(f"/api/events?after={answer.json()['next']}")
        assert again.json()["results"] == []


async def test_when_the_time_is_over_the_page_is_empty_and_its_cursor_goes_on(key: str, draft: Any) -> None:
    async with client(key) as alice:
        answer = await alice.get("/api/events?wait=1&after=latest")
        assert (answer.status_code, answer.json()["results"]) == (200, [])
        (event,) = await outside(commit, draft())
        answer = await alice.get(f"/api/events?wait=30&after={answer.json()['next']}")
        assert answer.json()["results"] == [event.payload()]
    assert not feeds._feeds


async def test_what_a_filter_leaves_out_does_not_end_the_waiting(key: str, draft: Any) -> None:
    async with client(key) as alice:
        poll = asyncio.create_task(alice.get("/api/events?wait=30&types=instance.*"))
        await waiting()
        await outside(commit, draft(), draft())
        (wanted,) = await outside(commit, draft(type="instance.qr"))
        assert [event["id"] for event in (await poll).json()["results"]] == [wanted.id]


async def test_a_hint_that_got_lost_is_repaired(key: str, draft: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "CHECK_SECONDS", 0.1)
    async with client(key) as alice:
        poll = asyncio.create_task(alice.get("/api/events?wait=30"))
        await waiting()
        (event,) = await outside(commit_unannounced, draft())
        assert [found["id"] for found in (await poll).json()["results"]] == [event.id]


async def test_a_revoked_key_ends_the_waiting(key: str, alice: Person) -> None:
    async with client(key) as program:
        poll = asyncio.create_task(program.get("/api/events?wait=30"))
        await waiting()
        started = time.monotonic()
        await outside(lambda: ApiKey.objects.update(revoked=True))
        answer = await poll
        assert time.monotonic() - started < 3
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


async def test_waiting_long_counts_as_one_request(key: str, draft: Any) -> None:
    def left(answer: httpx.Response) -> int:
        return int(answer.headers["RateLimit"].partition("r=")[2].partition(";")[0])

    caches["limits"].clear()
    async with client(key) as alice:
        before = left(await alice.get("/api/events"))
        poll = asyncio.create_task(alice.get("/api/events?wait=30"))
        await waiting()
        await outside(commit, draft())
        assert left(await poll) == before - 1
        assert left(await alice.get("/api/events?after=latest")) == before - 2


async def test_more_than_may_wait_are_told_when_to_come_back(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MAX_WAITING", 1)
    async with client(key) as alice:
        first = asyncio.create_task(alice.get("/api/events?wait=30"))
        await waiting()
        answer = await alice.get("/api/events?wait=30")
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_polls")
        assert answer.headers["Retry-After"] == "5"
        assert (await alice.get("/api/events")).status_code == 200
        first.cancel()


async def test_a_client_that_hangs_up_ends_the_waiting(key: str) -> None:
    said: list[Any] = []
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/api/events", "query_string": b"wait=30", "scheme": "http",
        "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {key}".encode())],
    }  # fmt: skip
    poll = asyncio.create_task(application(scope, receive, send))
    await waiting()
    gone.set()
    async with asyncio.timeout(5):
        await poll
    assert said == []
    assert not feeds._feeds


async def test_without_redis_events_are_heard_by_the_check(
    key: str, draft: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "CHECK_SECONDS", 0.1)

    class Away:
        async def new_channel(self) -> str:
            raise ConnectionError

    monkeypatch.setattr(feeds, "get_channel_layer", Away)
    async with client(key) as alice:
        poll = asyncio.create_task(alice.get("/api/events?wait=30"))
        await waiting()
        (event,) = await outside(commit, draft())
        assert [found["id"] for found in (await poll).json()["results"]] == [event.id]


async def test_other_addresses_and_methods_are_not_served(key: str) -> None:
    async with client(key, LongPoll(application.application_mapping["websocket"])) as alice:
        answer = await alice.post("/api/events", json={})
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    async with client(key) as alice:
        assert (await alice.get("/api/messages")).json()["code"] == "not_found"


async def test_two_hundred_wait_at_once_on_one_daphne_and_all_hear(
    key: str, live_socket: Path, alice: Person, charlie: Person, draft: Any
) -> None:
    connections.close_all()
    other = await outside(charlie.key)
    async with client(key, uds=live_socket) as program, client(other, uds=live_socket) as foreign:
        polls = [asyncio.create_task(program.get("/api/events?wait=30")) for _ in range(101)]
        theirs = [asyncio.create_task(foreign.get("/api/events?wait=30")) for _ in range(100)]
        refused, _ = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
        assert [(await one).json()["code"] for one in refused] == ["too_many_polls"]
        (mine,) = await outside(commit, draft())
        started = time.monotonic()
        answers = await asyncio.gather(*set(polls) - refused)
        assert [[event["id"] for event in answer.json()["results"]] for answer in answers] == [[mine.id]] * 100
        print(f"100 answers after {time.monotonic() - started:.2f} s")
        assert not any(poll.done() for poll in theirs)
        (their,) = await outside(commit, draft(organization_id=charlie.organization.id, instance_id=None))
        answers = await asyncio.gather(*theirs)
        assert [[event["id"] for event in answer.json()["results"]] for answer in answers] == [[their.id]] * 100

"""What `wagw listen` and `wagw tail` make of sockets that say things, break and are refused."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from wagw import listen, stream
from wagw.__main__ import _parser
from wagw.client import CommandError, Settings
from wagw.tests.conftest import Product, Receiver

KEY = "wak_test_very_secret"
SECRET = f"whsec_{base64.b64encode(bytes(24)).decode()}"
Script = Callable[[web.WebSocketResponse], Awaitable[None]]


def event(number: int) -> dict[str, Any]:
    return {
        "id": f"evt_{number}", "type": "message.received", "timestamp": "2026-01-31T12:00:00.123Z", "instance": "ins_1",
        "sequence": number, "data": {"text": {"body": "grüß\ndich"}},
    }  # fmt: skip


def ready(cursor: str, skipped: int = 0) -> dict[str, Any]:
    return {"action": "ready", "cursor": cursor, "skipped": skipped, "subscriptions": []}


def says(*frames: dict[str, Any], close: int | None = None) -> Script:
    async def script(socket: web.WebSocketResponse) -> None:
        for frame in frames:
            await socket.send_str(json.dumps(frame))
        if close:
            await socket.close(code=close)
        else:
            await asyncio.sleep(0.1)  # a broken connection takes with it what was not read

    return script


@asynccontextmanager
async def running(url: str, *words: str) -> AsyncIterator[asyncio.Task[None]]:
    arguments = _parser().parse_args(["--url", url, "--key", KEY, *words])
    task = asyncio.create_task(arguments.run(Settings(arguments.url, arguments.key), arguments))
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(listen, "RETRY_SECONDS", (0.01, 0.01, 0.01))


async def test_events_are_forwarded_as_signed_webhooks(product: tuple[Product, str], receiver: Receiver) -> None:
    wanted, url = product
    wanted.sockets = [says(ready("c0"), event(1), event(2))]
    async with running(url, "listen", "--forward-to", receiver.url, "--secret", SECRET, "--types", "message.*"):
        await until(lambda: len(receiver.requests) == 2)
    for number, (headers, body) in enumerate(receiver.requests, 1):
        assert Webhook(SECRET).verify(body, headers) == event(number)
        assert headers["webhook-id"] == f"evt_{number}"
        assert headers["content-type"] == "application/json"
        assert "authorization" not in headers
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(body + b" ", headers)
    assert wanted.asked[0] == {"types": "message.*", "after": "latest"}
    assert wanted.credentials[0] == f"Bearer {KEY}"


async def test_a_secret_is_made_and_told_and_the_key_never(
    product: tuple[Product, str], receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, url = product
    wanted.sockets = [says(ready("c0"), event(1))]
    async with running(url, "listen", "--forward-to", receiver.url):
        await until(lambda: receiver.requests)
        await wanted.silent.wait()
    said = capsys.readouterr()
    first, line = said.out.splitlines()[:2]
    Webhook(first.removeprefix("Secret: ")).verify(receiver.requests[0][1], receiver.requests[0][0])
    assert line.startswith("2026-01-31T12:00:00.123Z evt_1 ins_1 1 message.received -> 200 (")
    assert KEY not in said.out + said.err


async def test_after_a_broken_socket_it_goes_on_from_the_cursor_and_doubles_nothing(
    product: tuple[Product, str], receiver: Receiver
) -> None:
    wanted, url = product
    position = {"action": "position", "cursor": "c2"}
    wanted.sockets = [
        says(ready("c0"), event(1), event(2), position, event(3)),
        says(ready("c2"), event(3), event(4), close=4408),
        says(ready("c2"), event(3), event(4), event(5), {"action": "unheard of"}),
    ]
    async with running(url, "listen", "--forward-to", receiver.url):
        await until(lambda: len(receiver.requests) == 5)
        await wanted.silent.wait()
    assert [headers["webhook-id"] for headers, _ in receiver.requests] == [f"evt_{n}" for n in range(1, 6)]
    assert [asked["after"] for asked in wanted.asked] == ["latest", "c2", "c2", "c2"]


async def test_what_fails_is_tried_again_in_order_and_then_given_up(
    product: tuple[Product, str], receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, url = product
    wanted.sockets = [says(ready("c0"), event(1), event(2))]
    receiver.statuses = [500, 307, 500, 404]
    async with running(url, "listen", "--forward-to", receiver.url):
        await until(lambda: len(receiver.requests) == 5)
    assert [headers["webhook-id"] for headers, _ in receiver.requests] == ["evt_1"] * 4 + ["evt_2"]
    assert "-> 404 (" in (said := capsys.readouterr().out)
    assert said.count("given up") == 1


async def test_a_receiver_that_is_away_is_named(
    product: tuple[Product, str], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, url = product
    wanted.sockets = [says(ready("c0"), event(1))]
    async with running(url, "listen", "--forward-to", "http://127.0.0.1:9/hook"):
        await wanted.silent.wait()
    said = capsys.readouterr().out
    assert "127.0.0.1:9" in said
    assert "given up" in said


async def test_a_state_file_outlives_a_restart(
    product: tuple[Product, str], receiver: Receiver, tmp_path: Path
) -> None:
    wanted, url = product
    state = tmp_path / "state.json"
    words = ("listen", "--forward-to", receiver.url, "--state", str(state))
    wanted.sockets = [says(ready("c0"), event(1), {"action": "position", "cursor": "c1"}, event(2))]
    async with running(url, *words):
        await until(lambda: state.exists() and "evt_2" in state.read_text())
    wanted.sockets = [says(ready("c1"), event(2), event(3))]
    async with running(url, *words):
        await until(lambda: len(receiver.requests) == 3)
    assert wanted.asked[-1]["after"] == "c1" or wanted.asked[-2]["after"] == "c1"
    assert [headers["webhook-id"] for headers, _ in receiver.requests] == ["evt_1", "evt_2", "evt_3"]
    state.write_text("{}")
    async with running(url, *words) as task:
        with pytest.raises(CommandError, match="not a state file"):
            await task


async def test_a_refused_handshake_ends_it_with_the_words_of_the_problem(product: tuple[Product, str]) -> None:
    wanted, url = product
    wanted.refusal = (401, {"code": "invalid_credentials", "detail": "The API key is unknown, revoked or expired."})
    async with running(url, "tail") as task:
        with pytest.raises(CommandError, match=r"^invalid_credentials: The API key is unknown"):
            await task


async def test_a_revoked_key_ends_it(product: tuple[Product, str]) -> None:
    wanted, url = product
    wanted.sockets = [says(ready("c0"), close=4401)]
    async with running(url, "tail") as task:
        with pytest.raises(CommandError, match="no longer"):
            await task


async def test_a_busy_server_is_asked_again(product: tuple[Product, str], capsys: pytest.CaptureFixture[str]) -> None:
    wanted, url = product
    wanted.refusal = (503, {"code": "starting"})
    async with running(url, "tail"):
        await until(lambda: len(wanted.asked) == 2)
        wanted.refusal = None
        await wanted.silent.wait()
    assert "refused with 503" in capsys.readouterr().err


async def test_tail_prints_lines_or_json(product: tuple[Product, str], capsys: pytest.CaptureFixture[str]) -> None:
    wanted, url = product
    for words, line in [
        ((), "2026-01-31T12:00:00.123Z evt_1 ins_1 1 message.received grüß dich\n"),
        (("--json",), json.dumps(event(1)) + "\n"),
    ]:
        wanted.sockets, wanted.silent = [says(ready("c0", skipped=3), event(1))], asyncio.Event()
        async with running(url, "tail", "--after", "", *words):
            await wanted.silent.wait()
        said = capsys.readouterr()
        assert said.out == line
        assert "3 events are kept no more" in said.err
    assert wanted.asked[0] == {"after": ""}

"""What is given wrong, and what the commands call."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from wagw.__main__ import main
from wagw.tests.conftest import Product

INSTANCE = {"id": "ins_1", "phone": "15550100001", "network": "sandbox", "state": "connected"}
KEY = "wak_test_very_secret"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAGW_KEY", raising=False)
    monkeypatch.delenv("WAGW_URL", raising=False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tail"], "wagw: give an API key with --key or WAGW_KEY"),
        (["--key", KEY, "--url", "localhost:8000", "tail"], "is not an http or https address"),
        (["--key", KEY, "--url", "http://127.0.0.1:9", "listen", "--forward-to", "localhost:3000"], "--forward-to"),
        (["--key", KEY, "listen", "--forward-to", "http://x", "--secret", "whsec_abc"], "24 to 64 bytes"),
        (["--key", KEY, "listen", "--forward-to", "http://x", "--secret", "abc"], "24 to 64 bytes"),
        (["--key", KEY, "nonsense"], "invalid choice"),
        (["--key", KEY, "listen"], "--forward-to"),
    ],
)
def test_what_is_given_wrong_is_told_without_the_key(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(words)
    except SystemExit as ended:
        code = ended.code  # type: ignore[assignment]
    said = capsys.readouterr()
    assert (code, told in said.err) == (2, True), said.err
    assert KEY not in said.out + said.err


def test_a_product_that_is_away_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--key", KEY, "--url", "http://127.0.0.1:9", "resend", "dlv_1"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_help_names_no_key(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WAGW_KEY", KEY)
    with pytest.raises(SystemExit):
        main(["--help"])
    assert KEY not in capsys.readouterr().out


async def run(url: str, *words: str) -> int:
    """The exit code; in a process of its own, as the product answers from this one."""
    words = ("-m", "wagw", "--url", url, "--key", KEY, *words)
    return await (await asyncio.create_subprocess_exec(sys.executable, *words)).wait()


def page(*rows: Any) -> tuple[int, Any]:
    return 200, {"results": list(rows), "next": None}


async def test_send_prints_the_message_and_waits_for_its_end(
    product: tuple[Product, str], capfd: pytest.CaptureFixture[str]
) -> None:
    wanted, url = product
    wanted.answers = {
        "GET /api/instances?limit=100": page(INSTANCE, INSTANCE | {"id": "ins_2", "state": "stopped"}),
        "POST /api/messages": (202, {"id": "msg_1", "status": "queued"}),
        "GET /api/messages/msg_1": (200, {"id": "msg_1", "status": "failed", "error": {"code": "not_on_whatsapp"}}),
    }
    assert await run(url, "send", "--to", "15550100002", "Hello", "--wait") == 1
    assert wanted.calls[1][2] == {
        "instance": "ins_1", "to": "15550100002", "type": "text", "text": {"body": "Hello"},
    }  # fmt: skip
    said = capfd.readouterr()
    assert json.loads(said.out)["status"] == "failed"
    assert said.err == "wagw: the message is failed\n"


async def test_a_problem_is_told_with_its_fields(
    product: tuple[Product, str], capfd: pytest.CaptureFixture[str]
) -> None:
    wanted, url = product
    errors = [{"pointer": "/to", "code": "invalid_phone_number", "detail": "No country has this number."}]
    problem = {"code": "invalid_request", "detail": "Some fields are not valid.", "errors": errors}
    wanted.answers = {"GET /api/instances/ins_1": (200, INSTANCE), "POST /api/messages": (400, problem)}
    words = ("--instance", "ins_1", "--to", "1", "--type", "location", "--json", '{"name": "x"}')
    assert await run(url, "send", *words) == 1
    assert wanted.calls[1][2]["location"] == {"name": "x"}
    told = "wagw: invalid_request: Some fields are not valid. /to: No country has this number.\n"
    assert capfd.readouterr().err == told


async def test_trigger_has_a_phone_write_or_tests_the_endpoints(
    product: tuple[Product, str], capfd: pytest.CaptureFixture[str]
) -> None:
    wanted, url = product
    other = {"phone": "15550100009"}
    wanted.answers = {
        "GET /api/instances?limit=100": page(INSTANCE),
        "GET /api/sandbox/phones?limit=100": page({"phone": INSTANCE["phone"]}, other),
        "POST /api/sandbox/phones/15550100009/messages": (201, {"id": "A1"}),
        "GET /api/webhooks?limit=100": page(
            {"id": "whk_1", "enabled": True, "url": "https://a.example"}, {"id": "whk_2", "enabled": False}
        ),
        "POST /api/webhooks/whk_1/test": (202, {"id": "dlv_1", "event": {"type": "webhook.test"}}),
    }
    assert await run(url, "trigger", "message.received") == 0
    assert wanted.calls[-1][2] == {"to": INSTANCE["phone"], "text": "Hello from wagw"}
    assert await run(url, "trigger", "webhook.test") == 0
    assert await run(url, "trigger", "instance.qr") == 0
    tests = [body for _, path, body in wanted.calls if path.endswith("/test")]
    assert tests == [{}, {"type": "instance.qr"}]
    assert "dlv_1 with a webhook.test goes to https://a.example." in capfd.readouterr().out


async def test_real_numbers_are_not_made_to_do_things(
    product: tuple[Product, str], capfd: pytest.CaptureFixture[str]
) -> None:
    wanted, url = product
    wanted.answers = {"GET /api/instances/ins_1": (200, INSTANCE | {"network": "whatsapp"})}
    assert await run(url, "trigger", "message.sent", "--instance", "ins_1") == 1
    assert "no number in the sandbox" in capfd.readouterr().err

"""The command line against the whole product."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from stack.paths import PROJECT
from stack.testing import RunningStack
from tests.product import Api, Receiver, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("sqlite")]  # it knows nothing but the API


def _environ(api: Api) -> dict[str, str]:
    return os.environ | {"WAGW_URL": api.address, "WAGW_KEY": api.credential}


def wagw(api: Api, *words: str, code: int = 0) -> str:
    """What a command prints, which ends with this code."""
    command = [sys.executable, "-m", "wagw", *words]
    done = subprocess.run(command, cwd=PROJECT, env=_environ(api), capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout


@contextmanager
def following(api: Api, log: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on, its output in a file; from when it is connected."""
    with log.open("w") as output:
        command = [sys.executable, "-m", "wagw", *words]
        running = subprocess.Popen(command, cwd=PROJECT, env=_environ(api), stdout=output, stderr=output, text=True)
    try:
        wait_for(lambda: "Connected." in log.read_text(), 20, "the socket")
        yield running
    finally:
        running.terminate()
        assert running.wait(10) == 0


def test_events_reach_a_server_on_the_desk_though_the_socket_breaks(
    stack: RunningStack, acme: Api, receiver: Receiver, tmp_path: Path
) -> None:
    instance, _ = acme.linked()
    log = tmp_path / "listen.log"
    words = ["listen", "--forward-to", receiver.url, "--types", "message.*", "--instances", instance]
    with following(acme, log, *words):
        secret = log.read_text().partition("Secret: ")[2].split()[0]
        assert wagw(acme, "trigger", "message.received", "--instance", instance)
        headers, body, event = receiver.wait_for("message.received")
        assert Webhook(secret).verify(body, headers) == event
        assert event["instance"] == instance
        stack.wait_for_restart("live", stack.kill("live"))
        sent = json.loads(wagw(acme, "send", "--instance", instance, "--to", acme.phone("Carla"), "Hi", "--wait"))
        assert sent["status"] in ("sent", "delivered", "read")
        wait_for(lambda: log.read_text().count("Connected.") == 2, 30, "the second socket")
        types = [receiver.wait_for_any()["type"]]
        while types[-1] != "message.delivered":
            types.append(receiver.wait_for_any()["type"])
        assert types == ["message.queued", "message.sent", "message.delivered"]
    assert "Not connected" in log.read_text()
    assert acme.credential not in log.read_text()


def test_tail_prints_json_and_what_fails_ends_with_1(acme: Api, tmp_path: Path) -> None:
    instance, _ = acme.linked()
    log = tmp_path / "tail.log"
    with following(acme, log, "tail", "--json", "--types", "message.received,message.read"):
        wagw(acme, "trigger", "message.received")
        wait_for(lambda: log.read_text().count("\n") == 2, 20, "the event")
        wagw(acme, "trigger", "message.read")
        wait_for(lambda: log.read_text().count("\n") == 3, 20, "the event")
    events = [json.loads(line) for line in log.read_text().splitlines()[1:]]
    assert [event["type"] for event in events] == ["message.received", "message.read"]
    assert all(event["instance"] == instance for event in events)
    wagw(acme, "send", "--to", "12", "Hi", code=1)
    wagw(Api(acme.address, "wak_test_nonsense"), "tail", code=1)


def test_a_delivery_is_made_again(acme: Api, receiver: Receiver) -> None:
    acme.post("/webhooks", {"url": receiver.url, "events": ["*"]})
    delivery = wagw(acme, "trigger", "webhook.test").split()[0]
    first = receiver.wait_for("webhook.test")[0]
    wagw(acme, "resend", delivery)
    assert receiver.wait_for("webhook.test")[0]["webhook-id"] == first["webhook-id"]

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from django.conf import settings as django_settings
from django.db import DatabaseError, connection, transaction
from django.test import Client
from pytest_django import Settings

from config import context, logs
from config.context import Origin
from conftest import Person, bearer
from instances.models import Instance

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged since, at any level, as the product writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.formatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def test_lines_of_the_standard_library_and_of_structlog_look_alike(lines: Lines) -> None:
    token = context.enter(Origin("task", "t-1", actor_id="key_1", organization_id="org_1"))
    logging.getLogger("theirs").warning("%s happened", "something")
    structlog.get_logger("ours").warning("something happened", instance="ins_1")
    context.leave(token)
    theirs, ours = lines()
    assert ours.pop("instance") == "ins_1"
    assert theirs.pop("timestamp") <= ours.pop("timestamp")
    common = {"event": "something happened", "level": "warning", "source": "task", "request_id": "t-1"}
    common |= {"actor": "key_1", "organization": "org_1"}
    assert (theirs, ours) == (common | {"logger": "theirs"}, common | {"logger": "ours"})


SECRETS = {
    "an API key": "wak_live_0123456789abPLANTED0123456789abcdef0123456789abcd12",
    "a token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJQTEFOVEVEIn0.c2lnbmF0dXJl-PLANTED",
    "a webhook secret": "whsec_PLANTEDPLANTEDPLANTEDPLANTED1234",
    "a password's hash": "bcrypt_sha256$$2b$12$PLANTEDPLANTEDPLANTEDuPLANTEDPLANTEDPLANTEDPLANTEDPLANTED",
    "a header": "Authorization: Bearer PLANTED-PLANTED",
    "headers as Python shows them": "[(b'x-api-key', b'PLANTED')], {'Cookie': 'sessionid=PLANTED'}",
    "a form": "email=a@example.com&password=PLANTED&next=/",
    "a body": '{"email": "a@example.com", "password": "PLANTED"}',
    "an address with a password": "redis://user:PLANTED@valkey:6379/0",
    "a QR code": "2@PLANTEDPLANTEDPLANTEDPLANTEDPLANTEDPLANTED,PLANTEDPLANTED=,x",
    "a row in a database's complaint": "null value\nDETAIL:  Failing row contains (1, PLANTED\nPLANTED).",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(lines: Lines, text: str) -> None:
    log = structlog.get_logger("planted")
    log.warning(f"before {text}")
    log.warning("in a field", error=text, detail=repr(ValueError(text)), nested={"list": [text]})
    logging.getLogger("planted").warning("an argument: %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("in an exception")
    assert len(lines()) == 4
    assert "PLANTED" not in json.dumps(lines())
    assert lines()[0]["event"].startswith("before")


@pytest.mark.parametrize(
    "name", ["password", "new_password", "token", "secret", "authorization", "text", "body", "qr", "pairing_code"]
)
def test_a_field_of_a_secret_name_is_hidden_whatever_it_holds(lines: Lines, name: str) -> None:
    structlog.get_logger("planted").warning("x", **{name: "PLANTED"}, data={name: ["PLANTED"]})
    assert "PLANTED" not in json.dumps(lines())


@pytest.mark.parametrize(
    "text", ["ins_01h455vb4pex5vsknk084sn02q", "203.0.113.7", "api/keys/<str:key_id>", "http://127.0.0.1:8000/x"]
)
def test_what_is_no_secret_stays(lines: Lines, text: str) -> None:
    structlog.get_logger("plain").warning(text, detail=text, count=3, ok=True, nothing=None)
    (line,) = lines()
    assert (line["event"], line["detail"], line["count"], line["ok"], line["nothing"]) == (text, text, 3, True, None)


def test_a_traceback_tells_the_places_and_no_locals(lines: Lines) -> None:
    def inner() -> None:
        marker = "PLANTED"
        try:
            raise KeyError(len(marker))
        except KeyError as error:
            raise RuntimeError("broken") from error

    try:
        inner()
    except RuntimeError:
        structlog.get_logger("x").exception("failed")
    text = lines()[0]["exception"]
    assert "RuntimeError: broken" in text
    assert "KeyError: 7" in text
    assert f"{__file__}:" in text
    assert "PLANTED" not in text


@pytest.mark.django_db
def test_the_values_of_a_failed_statement_are_not_logged(lines: Lines, alice: Person) -> None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE accounts_organization SET name = %s, id = NULL", ["PLANTED"])
    except DatabaseError as error:
        structlog.get_logger("x").exception("failed", error=repr(error))
    assert "IntegrityError" in lines()[0]["exception"]
    assert "PLANTED" not in json.dumps(lines())


@pytest.mark.django_db
def test_each_request_has_one_line(alice: Person, instance: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    headers = {"X-Request-Id": "mine-1"}
    alice.client.get(f"/api/instances/{instance.id}", headers=headers, REMOTE_ADDR="203.0.113.7")
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())
    assert line.pop("duration_ms") > 0
    assert line.pop("bytes") > 100
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "request",
        "request_id": "mine-1",
        "source": "api",
        "method": "GET",
        "route": "api/instances/<str:instance_id>",
        "status": 200,
        "address": "203.0.113.7",
        "actor": alice.user.id,
        "organization": alice.organization.id,
        "instance": instance.id,
    }


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/metrics"])
def test_questions_for_health_are_not_logged(
    client: Client, path: str, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.SANDBOX_ENABLED = False
    client.get(path)
    assert capsys.readouterr().err == ""


def test_a_key_that_is_sent_as_a_request_id_is_not_taken_for_one(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = client.get("/nothing", headers={"X-Request-Id": SECRETS["an API key"]})
    assert answer["X-Request-Id"].startswith("req_")
    assert "PLANTED" not in capsys.readouterr().err


def test_what_nobody_catches_is_a_line_like_all_others() -> None:
    code = (
        "import django, threading; django.setup()\n"
        "def fail(): raise ValueError('password=PLANTED')\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join(); fail()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=django_settings.BASE_DIR,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
    )
    said = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert ended.returncode == 1
    assert [line["event"] for line in said] == ["uncaught", "uncaught"]
    assert all("ValueError" in line["exception"] for line in said)
    assert "PLANTED" not in ended.stderr


@pytest.mark.django_db
def test_planted_secrets_are_in_no_line(
    alice: Person, instance: Instance, lines: Lines, capsys: pytest.CaptureFixture[str], client: Client
) -> None:
    """The journey of an API user, with errors, each secret carrying a mark."""
    mark = "PLANTED"
    email, password = "planted@example.com", f"{mark} horse battery staple"

    def post(path: str, body: Any, who: Any = None, **headers: str) -> Any:
        return (who or client).post(f"/api/{path}", body, content_type="application/json", headers=headers)

    registered = post("auth/register", {"email": email, "password": password, "name": "Zoe"}).json()
    tokens = [registered["access"], registered["refresh"]]
    for body in ({"email": email, "password": f"{mark} wrong"}, {"email": email, "password": password}):
        answer = post("auth/login", body)
        tokens += [answer.json()[name] for name in ("access", "refresh") if answer.status_code == 200]
    post("auth/login", f'{{"email": "{email}", "password": "{mark}')
    post("auth/refresh", {"refresh": f"{mark}.{mark}.{mark}"})
    post("auth/password-reset/confirm", {"token": f"{mark}-reset", "password": mark})
    post("auth/verify-email", {"token": f"{mark}-verify"})
    key = alice.key()
    program = {"Authorization": f"Bearer {key}"}
    text = {"instance": instance.id, "to": "15550100002", "type": "text", "text": {"body": f"{mark} text"}}
    post("messages", text, **program, **{"Idempotency-Key": f"{mark}-1"})
    post("messages", text | {"text": {"body": f"{mark} other"}}, **program, **{"Idempotency-Key": f"{mark}-1"})
    post("messages", text | {"to": mark}, **program)
    hook = post("webhooks", {"url": f"http://127.0.0.1:9/hook?token={mark}", "events": ["*"]}, **program).json()
    post("webhooks", {"url": f"http://user:{mark}@127.0.0.1/", "events": ["*"]}, **program)
    post("messages", {}, **{"X-API-Key": f"wak_test_{mark}"})
    client.get(f"/api/events?ticket={mark}", headers={"Authorization": f"Basic {mark}"})
    client.raise_request_exception = False
    post(
        "keys",
        {"name": f"{mark}" * 100, "mode": "test", "scopes": ["read"]},
        **{"Authorization": f"Bearer {tokens[0]}"},
    )
    bearer(key).get(f"/api/instances/{instance.id}/qr")
    logged = json.dumps(lines()) + capsys.readouterr().err
    assert logged.count('"event":"request"') >= 15
    assert mark not in logged
    for secret in (*tokens, key, hook["secret"]):
        assert secret not in logged

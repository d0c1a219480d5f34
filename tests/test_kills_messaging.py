"""Processes are killed while messages of several kinds go out and come in; what was lost and doubled is counted."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from stack.paths import PROJECT
from stack.testing import RunningStack
from tests.product import Api, Control, wait_for, wait_until_answered

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]
SESSIONS = "sessions-sandbox-1"
MESSAGES = 100
UPLOADS, UPLOAD_BYTES = 3, 50_000  # each takes a second
IN_FLIGHT = 50  # receipts that the library had confirmed and not handed over; see test_kills_inbound
FORM_BYTES, PIECE = 30_000_000, 65_536
AGAIN = ("unavailable", "starting", "interrupted", "idempotency_key_in_use")
# A white pixel.
PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8ffff3f"
        "0005fe02fedccc59e70000000049454e44ae426082"
    )
).decode()


@pytest.fixture
def control(stack: RunningStack) -> Control:
    return Control(stack)


def _group(control: Control, phone: str, number: str) -> str:
    return str(control("create_group", phone=phone, subject="Friends", members=[number])["jid"])


def _body(kind: str, text: str, to: str, group: str) -> dict[str, Any]:
    if kind == "image":
        return {"to": to, "type": "image", "image": {"data": PNG, "caption": text}}
    return {"to": group if kind == "group" else to, "type": "text", "text": {"body": text}}


def _arrived(control: Control, phone: str, number: str) -> Counter[str]:
    """What a phone shows from a number, by text or caption."""
    found = control("messages", phone=phone, limit=1000)["results"]
    texts = [(one.get("text") or one.get("caption") or "") for one in found if not one["from_me"]]
    return Counter(text for text in texts if text)


def _said(message: dict[str, Any]) -> str:
    return str(message["text"]["body"] if message["type"] == "text" else message["image"]["caption"])


def _is(api: Api, message: str, *statuses: str) -> bool:
    return api.message(message)["status"] in statuses


@pytest.mark.parametrize("victim", [SESSIONS, "valkey", "postgres", "web"])
def test_a_full_lane_of_every_kind_survives_a_kill(
    stack: RunningStack, acme: Api, control: Control, victim: str
) -> None:
    if victim not in stack.processes():
        pytest.skip("no PostgreSQL of its own")
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    group = _group(control, carla, number)
    kinds = ["text", "group", "text", "image"]
    bodies = [
        {"instance": instance} | _body(kinds[place % len(kinds)], f"message {place}", carla, group)
        for place in range(MESSAGES)
    ]
    results = acme.post("/messages/batch", {"messages": bodies}, expect=202)["results"]
    assert {result["status"] for result in results} == {202}
    wait_for(lambda: sum(_arrived(control, carla, number).values()) > MESSAGES // 4, 60, "the first quarter")
    stack.wait_for_restart(victim, stack.kill(victim))
    wait_until_answered(acme)

    def waiting() -> list[dict[str, Any]]:
        return [row for row in acme.messages(instance=instance) if row["status"] in {"queued", "sending", "preparing"}]

    def settled() -> list[dict[str, Any]] | None:
        try:
            return None if waiting() else acme.messages(instance=instance)
        except (httpx.TransportError, AssertionError):  # PostgreSQL is coming back
            return None

    rows = wait_for(settled, 90, waiting)
    doubtful = {_said(row) for row in rows if row["status"] == "unconfirmed"}
    failed = [row for row in rows if row["status"] == "failed"]
    wait_for(lambda: len(_arrived(control, carla, number)) >= MESSAGES - len(doubtful), 30, "arrivals")
    arrived = _arrived(control, carla, number)
    lost = {_said(row) for row in rows} - set(arrived) - doubtful
    doubled = [text for text, times in arrived.items() if times > 1]

    def without_receipt() -> int:
        rows = acme.messages(instance=instance)
        return sum(row["status"] == "sent" and row["chat"]["id"] != group for row in rows)  # nobody asks of the group

    deadline = time.monotonic() + 5
    while without_receipt() and time.monotonic() < deadline:
        time.sleep(0.2)
    silent = without_receipt()
    print(
        f"{victim}: {MESSAGES} accepted, {len(lost)} lost, {len(doubled)} doubled, {len(doubtful)} in doubt,"
        f" {silent} receipts lost"
    )
    assert (failed, lost, doubled) == ([], set(), [])
    assert len(doubtful) <= 1
    assert silent <= (IN_FLIGHT if victim == SESSIONS else 0)


@pytest.mark.parametrize("victim", [SESSIONS, "valkey", "postgres"])
def test_a_kill_during_an_upload_loses_and_doubles_nothing(
    stack: RunningStack, acme: Api, control: Control, victim: str
) -> None:
    if victim not in stack.processes():
        pytest.skip(f"no {victim} of its own")
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    control("faults", phone=number, media_rate=UPLOAD_BYTES)
    names = [f"{place}.txt" for place in range(UPLOADS)]
    for name in names:
        # Each another file, or the second would need no upload.
        data = base64.b64encode(name.encode().ljust(UPLOAD_BYTES)).decode()
        acme.post(
            "/messages",
            {"instance": instance, "to": carla, "type": "document", "document": {"data": data, "filename": name}},
            expect=202,
        )
    wait_for(lambda: _files(control, carla), 60, "the first file; the second is being uploaded")
    stack.wait_for_restart(victim, stack.kill(victim))
    wait_until_answered(acme)
    wait_for(lambda: len(_files(control, carla)) >= UPLOADS, 60, "all files")
    arrived = _files(control, carla)
    print(f"{victim} killed during an upload: {UPLOADS} accepted, arrived {arrived}")
    assert arrived == Counter(names)


@pytest.mark.only_with("postgres")
@pytest.mark.parametrize("sent", [0.5, 1])
def test_a_kill_of_the_web_during_an_upload_to_us_stores_one_file(stack: RunningStack, acme: Api, sent: float) -> None:
    """Killed with half of the body there, or with all of it, when the answer may be lost; then asked again."""
    content = os.urandom(FORM_BYTES)
    form = httpx.Request("POST", acme.address, files={"file": ("big.bin", content)})
    body, headers = form.read(), {"Idempotency-Key": f"upload {sent}"}
    headers |= {name: form.headers[name] for name in ("Content-Type", "Content-Length")}
    victim = 0

    def pieces(kill: bool) -> Iterator[bytes]:
        nonlocal victim
        for at in range(0, len(body), PIECE):
            yield body[at : at + PIECE]
            if kill and not victim and at + PIECE >= len(body) * sent:
                victim = stack.kill("web")

    answers: list[str] = []
    deadline, answer = time.monotonic() + 120, None
    while answer is None or answer.status_code != 201:
        assert time.monotonic() < deadline, answers
        try:
            answer = acme.http.post("/api/media", content=pieces(not victim), headers=headers, timeout=60)
            answers.append(str(answer.status_code))
        except httpx.TransportError as error:
            answers.append(type(error).__name__)
            time.sleep(0.2)
            continue
        if answer.status_code != 201:
            assert answer.json()["code"] in AGAIN, answer.text
            time.sleep(1)
    stack.wait_for_restart("web", victim)
    print(f"web killed with {sent:.0%} of {FORM_BYTES} bytes there: {Counter(answers)}")
    (row,) = acme.get("/media")["results"]
    assert (row["id"], row["size"]) == (answer.json()["id"], FORM_BYTES)
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert acme.http.get(f"/api/media/{row['id']}/content").content == content
    assert _room(stack, row["id"]) == FORM_BYTES


def _room(stack: RunningStack, media_id: str) -> int:
    """The bytes that the organization of a file is told to keep."""
    code = "from media.models import Media, Storage; "
    code += f"print(Storage.objects.get(organization=Media.objects.get(pk={media_id!r}).organization_id).bytes)"
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", code]
    found = subprocess.run(command, cwd=PROJECT, env=stack.environ, capture_output=True, text=True, check=True)
    return int(found.stdout.split()[-1])


def _files(control: Control, phone: str) -> Counter[str]:
    found = control("messages", phone=phone, limit=1000)["results"]
    return Counter(one["filename"] for one in found if not one["from_me"] and one.get("filename"))


def test_messages_of_every_kind_between_send_and_commit_are_settled_by_their_receipts(
    stack: RunningStack, owner: Api, acme: Api, control: Control
) -> None:
    kinds = ["text", "image", "group"]
    with ThreadPoolExecutor(len(kinds)) as pool:
        linked = list(pool.map(lambda _: acme.linked(), kinds))
    carla = acme.phone("Carla")
    ids = {}
    for kind, (instance, number) in zip(kinds, linked, strict=True):
        group = _group(control, carla, number)
        before = acme.post("/messages", {"instance": instance} | _body(kind, f"before {kind}", carla, group), 202)["id"]
        wait_for(partial(_is, acme, before, "delivered"), 30, f"the {kind} before")
        control("faults", phone=number, ack_delay=60)
        ids[kind] = acme.post("/messages", {"instance": instance} | _body(kind, kind, carla, group), 202)["id"]
    number_of = dict(zip(kinds, (number for _, number in linked), strict=True))
    wait_for(lambda: set(kinds) <= set(_arrived(control, carla, "")), 30, "all at the phone, none acknowledged")
    stack.wait_for_restart(SESSIONS, stack.kill(SESSIONS))
    for number in number_of.values():
        control("faults", phone=number, ack_delay=0)
    # The receipt of delivery may have died with the worker, confirmed and not committed; the one of reading tells too.
    for kind, id_ in ids.items():
        wait_for(partial(_is, acme, id_, "unconfirmed", "delivered"), 60, f"{kind}: {acme.message(id_)}")
        control("mark_read", phone=carla, id=acme.message(id_)["wa_id"])
        wait_for(partial(_is, acme, id_, "read"), 30, f"{kind}: {acme.message(id_)}")
    arrived = _arrived(control, carla, "")
    print("between send and commit:", {kind: arrived[kind] for kind in kinds})
    assert [arrived[kind] for kind in kinds] == [1, 1, 1]


def test_a_connection_that_breaks_before_the_acknowledgement_doubles_nothing(acme: Api, control: Control) -> None:
    instance, number = acme.linked()
    carla = acme.phone("Carla")
    acme.send(instance, carla, "hello")
    wait_for(lambda: _arrived(control, carla, number)["hello"], 30)
    control("faults", phone=number, cut_before_ack=1)
    ids = [acme.send(instance, carla, f"cut {place}") for place in range(3)]
    wait_for(lambda: all(acme.message(id_)["status"] == "delivered" for id_ in ids), 60, "all delivered")
    assert [_arrived(control, carla, number)[f"cut {place}"] for place in range(3)] == [1, 1, 1]

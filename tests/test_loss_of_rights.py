"""Whoever loses the right is out everywhere: at the web processes, which cache it, and on an open socket."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

import aiohttp
import httpx
import pytest

from stack.paths import PROJECT
from stack.testing import RunningStack
from tests.product import PASSWORD, Api, wait_for

pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("sqlite")]
SECONDS = 2.0  # one is promised; a busy machine may take as long again to notice
NEW_PASSWORD = "another correct horse battery"


class Login(NamedTuple):
    """Somebody's session: a way in, and the refresh token beside it."""

    api: Api
    refresh: str


def log_in(address: str, email: str) -> Login:
    answer = httpx.post(f"{address}/api/auth/login", json={"email": email, "password": PASSWORD}, timeout=30)
    assert answer.status_code == 200, answer.text
    return Login(Api(address, answer.json()["access"]), answer.json()["refresh"])


def joined(stack: RunningStack, owner: Api, email: str) -> None:
    """Have somebody invited, and accept with the link of the e-mail."""
    owner.post("/invitations", {"email": email, "role": "member"})

    def link() -> re.Match[str] | None:
        mails = [file.read_text() for file in (stack.var / "mail").glob("*.log")]
        return next((re.search(r"accept-invitation\?token=(\S+)", mail) for mail in mails if email in mail), None)

    token = unquote(wait_for(link, 20, "the e-mail")[1])
    body = {"token": token, "name": "Bob", "password": PASSWORD}
    assert httpx.post(f"{stack.address}/api/invitations/accept", json=body, timeout=30).status_code == 201


class Socket:
    """An open socket of a credential; ``closed`` has its close code when it is."""

    def __init__(self, api: Api) -> None:
        self.closed: list[int | None] = []
        self._open = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen(api)), daemon=True)
        self._thread.start()
        assert self._open.wait(20), "the socket did not open"

    async def _listen(self, api: Api) -> None:
        headers = {"Authorization": f"Bearer {api.credential}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(f"{api.address}/ws/events") as socket,
        ):
            self._open.set()
            async for _ in socket:
                pass
            self.closed.append(socket.close_code)


def log_out(owner: Api, victim: Login, email: str, stack: RunningStack) -> None:
    assert victim.api.http.post("/api/auth/logout", json={}).status_code == 204


def log_out_everywhere(owner: Api, victim: Login, email: str, stack: RunningStack) -> None:
    other = log_in(stack.address, email)
    assert other.api.http.post("/api/auth/logout-everywhere", json={}).status_code == 204


def change_the_password(owner: Api, victim: Login, email: str, stack: RunningStack) -> None:
    body = {"current_password": PASSWORD, "password": NEW_PASSWORD}
    assert log_in(stack.address, email).api.http.post("/api/auth/change-password", json=body).status_code == 200


def use_a_refresh_token_twice(owner: Api, victim: Login, email: str, stack: RunningStack) -> None:
    """A thief was first, and has fresh tokens; the owner's own attempt gives the theft away."""
    refresh = {"refresh": victim.refresh}
    assert victim.api.http.post("/api/auth/refresh", json=refresh).status_code == 200
    assert victim.api.http.post("/api/auth/refresh", json=refresh).status_code == 401


def deactivate(owner: Api, victim: Login, email: str, stack: RunningStack) -> None:
    """As an operator does in the admin."""
    code = f"from accounts.models import User; User.objects.filter(email={email!r}).update(is_active=False)"
    command = [sys.executable, "manage.py", "shell", "-c", code]
    subprocess.run(command, cwd=PROJECT, env=stack.environ, check=True, capture_output=True)


def remove_from_the_organization(owner: Api, victim: Login, email: str, stack: RunningStack) -> None:
    (member,) = [one for one in owner.get("/members")["results"] if one["user"]["email"] == email]
    assert owner.http.delete(f"/api/members/{member['id']}").status_code == 204


@pytest.mark.parametrize(
    "lose",
    [
        log_out,
        log_out_everywhere,
        change_the_password,
        use_a_refresh_token_twice,
        deactivate,
        remove_from_the_organization,
    ],
)
def test_a_person_who_loses_the_right_is_out_within_a_second(
    stack: RunningStack, owner: Api, lose: Callable[..., None], record_property: Any
) -> None:
    email = f"bob{time.time_ns()}@example.com"
    joined(stack, owner, email)
    victim = log_in(stack.address, email)
    chosen = {"X-Organization": owner.get("/organization")["id"]}
    socket = Socket(victim.api)
    assert victim.api.http.get("/api/organization").status_code == 200
    lose(owner, victim, email, stack)
    assert_out(socket, lambda: victim.api.http.get("/api/organization", headers=chosen), {401, 404}, record_property)


def test_a_revoked_key_is_out_within_a_second(stack: RunningStack, owner: Api, record_property: Any) -> None:
    made = owner.post("/keys", {"name": "Shop", "mode": "test", "scopes": ["read"]})
    program = Api(stack.address, made["key"])
    socket = Socket(program)
    assert program.http.get("/api/instances").status_code == 200
    assert owner.http.delete(f"/api/keys/{made['id']}").status_code == 204
    assert_out(socket, lambda: program.http.get("/api/instances"), {401}, record_property)


def assert_out(socket: Socket, call: Callable[[], httpx.Response], refused: set[int], record_property: Any) -> None:
    """Refused by every web process, which ten refusals in a row stand for, and off the socket."""
    lost = time.monotonic()
    in_a_row, last = 0, 0.0
    while in_a_row < 10:
        assert time.monotonic() < lost + SECONDS + 5
        if call().status_code in refused:
            in_a_row += 1
        else:
            in_a_row, last = 0, time.monotonic() - lost
    wait_for(lambda: socket.closed, 10, "the end of the socket")
    closed = time.monotonic() - lost
    record_property("seconds until refused", last)
    record_property("seconds until closed", closed)
    assert last < SECONDS
    assert closed < SECONDS
    assert socket.closed == [4401]

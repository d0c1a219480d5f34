from __future__ import annotations

import itertools
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from pytest_django import Settings
from rest_framework.test import APIClient

from accounts.actor import Actor
from config.api import limits
from config.api.problems import Problem
from config.ids import new_id
from config.variables import Rate
from conftest import PASSWORD, Person, assert_problem, bearer
from subscriptions.models import Plan, Subscription

_addresses = (f"203.0.113.{number}" for number in itertools.count(1))
DAY = 86400  # no window ends while a test runs
SetRates = Callable[..., None]


@pytest.fixture
def rates(settings: Settings) -> SetRates:
    """Sets the rate of some policies."""

    def set_rates(**changed: Rate) -> None:
        settings.RATE_LIMITS = settings.RATE_LIMITS | changed

    return set_rates


@pytest.fixture
def address() -> str:
    """One that nobody counted yet."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


def log_in(address: str, email: str = "nobody@example.com", password: str = PASSWORD) -> Any:
    body = {"email": email, "password": password}
    return APIClient().post("/api/auth/login", body, format="json", REMOTE_ADDR=address)


def parsed(header: str) -> dict[str, dict[str, int]]:
    """``{"auth": {"q": 10, "w": 60}}`` of a header of structured fields."""
    found = {}
    for item in header.split(", "):
        match = re.fullmatch(r'"([a-z]+)"((?:;[a-z]=[0-9]+)+)', item)
        assert match, header
        pairs = (part.split("=") for part in match[2][1:].split(";"))
        found[match[1]] = {name: int(value) for name, value in pairs}
    return found


def assert_limited(answer: Any, policy: str) -> None:
    body = assert_problem(answer, 429, "rate_limited")
    assert body["policy"] == policy
    left = parsed(answer["RateLimit"])[policy]
    assert left["r"] == 0
    assert 1 <= int(answer["Retry-After"]) == left["t"] <= body["window"]
    assert parsed(answer["RateLimit-Policy"])[policy] == {"q": body["limit"], "w": body["window"]}


def set_plan(person: Person, requests_per_minute: int) -> None:
    columns = {"instances": 1, "messages_per_month": 1, "requests_per_minute": requests_per_minute}
    plan = Plan.objects.create(code=f"plan-{requests_per_minute}", name="Test", **columns)
    Subscription.objects.filter(organization=person.organization).update(plan=plan)


# --- who is not known ------------------------------------------------------------------------


def test_logging_in_is_limited_by_address(db: None, rates: SetRates, address: str) -> None:
    rates(auth=Rate(2, DAY))
    answers = [log_in(address, f"somebody-{number}@example.com") for number in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert [parsed(answer["RateLimit"])["auth"]["r"] for answer in answers] == [1, 0, 0]
    assert_limited(answers[-1], "auth")
    assert log_in("198.51.100.7").status_code == 401


def test_logging_in_is_limited_by_email_address_wherever_it_comes_from(alice: Person, rates: SetRates) -> None:
    rates(email=Rate(3, DAY))
    spellings = ["alice@example.com", "Alice@Example.com", " alice@example.com"]
    for spelling in spellings:
        assert log_in(next(_addresses), spelling, "wrong").status_code == 401
    assert_limited(log_in(next(_addresses), "alice@example.com"), "email")
    assert log_in(next(_addresses), "bob@example.com").status_code == 401


def test_one_network_of_ipv6_is_one_address(db: None, rates: SetRates, address: str) -> None:
    rates(auth=Rate(1, DAY))
    assert log_in(address).status_code == 401
    assert_limited(log_in(address.replace("::1", ":aaaa:bbbb:cccc:dddd")), "auth")


def test_a_flood_of_bad_keys_is_limited_and_good_ones_go_on(alice: Person, rates: SetRates, address: str) -> None:
    rates(anonymous=Rate(2, DAY))
    guesser, good = bearer("wak_test_guessed"), alice.program()
    assert [guesser.get("/api/keys", REMOTE_ADDR=address).status_code for _ in range(2)] == [401, 401]
    assert_limited(guesser.get("/api/keys", REMOTE_ADDR=address), "anonymous")
    assert_limited(APIClient().get("/api/keys", REMOTE_ADDR=address), "anonymous")
    assert good.get("/api/instances", REMOTE_ADDR=address).status_code == 200


def test_plain_pages_are_limited_too(db: None, rates: SetRates, address: str) -> None:
    rates(anonymous=Rate(1, DAY), auth=Rate(1, DAY))
    assert APIClient().get("/api/version", REMOTE_ADDR=address).status_code == 200
    assert_limited(APIClient().get("/health", REMOTE_ADDR=address), "anonymous")
    assert APIClient().get("/admin/login/", REMOTE_ADDR=address).status_code == 200
    login = {"username": "op@example.com", "password": "guess"}
    assert APIClient().post("/admin/login/", login, REMOTE_ADDR=address).status_code == 200
    assert_limited(APIClient().post("/admin/login/", login, REMOTE_ADDR=address), "auth")


# --- who is known ----------------------------------------------------------------------------


def test_every_answer_to_a_program_tells_what_is_left(alice: Person, rates: SetRates) -> None:
    rates(key=Rate(100, DAY), organization=Rate(7000, 60))
    program = alice.program()
    for call in (program.get, program.post, program.delete):
        answer = call("/api/instances")
        assert parsed(answer["RateLimit-Policy"]) == {
            "key": {"q": 100, "w": DAY},
            "organization": {"q": 7000, "w": 60},
        }
    assert (answer.status_code, parsed(answer["RateLimit"])["key"]["r"]) == (405, 97)


def test_a_person_is_limited_on_every_path(alice: Person, rates: SetRates) -> None:
    rates(user=Rate(2, DAY))
    assert [alice.client.get(path).status_code for path in ("/api/instances", "/api/messages")] == [200, 200]
    assert_limited(alice.client.get("/api/instances"), "user")


def test_a_key_that_runs_wild_leaves_its_organization_the_rest(alice: Person, rates: SetRates) -> None:
    rates(key=Rate(2, DAY), organization=Rate(5, DAY))
    set_plan(alice, 0)
    wild, calm = alice.program(), alice.program()
    statuses = [wild.get("/api/instances").status_code for _ in range(8)]
    assert statuses == [200, 200, *[429] * 6]
    assert calm.get("/api/instances").status_code == 200
    assert [alice.client.get("/api/instances").status_code for _ in range(3)] == [200, 200, 429]


def test_the_plan_may_allow_an_organization_more(alice: Person, charlie: Person, rates: SetRates) -> None:
    rates(organization=Rate(7, DAY))
    for person, by_plan, policy in ((alice, 2, {"q": 2, "w": 60}), (charlie, 0, {"q": 7, "w": DAY})):
        set_plan(person, by_plan)
        answer = person.program().get("/api/instances")
        assert parsed(answer["RateLimit-Policy"])["organization"] == policy


# --- exactly -----------------------------------------------------------------------------------


def request() -> HttpRequest:
    made = HttpRequest()
    made.method = "GET"
    return made


def count(key: Actor, used: int = 1) -> list[int]:
    """What is left of the key's rate after each of so many requests; -1 for a refused one."""
    left = []
    for _ in range(used):
        counted = request()
        try:
            limits.check_caller(counted, key)
        except Problem:
            left.append(-1)
        else:
            left.append(counted.rate_limits[0].remaining)  # type: ignore[attr-defined]
    return left


@pytest.fixture
def key() -> Actor:
    return Actor("", "key", new_id("key"), frozenset(), "test")


def test_threads_at_the_same_time_are_counted_exactly(rates: SetRates, key: Actor) -> None:
    rates(key=Rate(50, DAY))
    with ThreadPoolExecutor(8) as threads:
        left = [n for found in threads.map(lambda _: count(key, 20), range(8)) for n in found]
    assert sorted(n for n in left if n >= 0) == list(range(50))


_PROCESS = """
import django, sys
django.setup()
from config.tests.test_limits import Actor, count
print(count(Actor("", "key", sys.argv[1], frozenset(), "test"), 3))
"""


@pytest.mark.only_with("sqlite")
def test_processes_share_their_counters(rates: SetRates, key: Actor, settings: Settings) -> None:
    rates(key=Rate(10, DAY))
    assert count(key) == [9]
    ended = subprocess.run(
        [sys.executable, "-c", _PROCESS, key.id],
        env=os.environ | {"RATE_LIMIT_KEY": "10/d"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "[8, 7, 6]"
    assert count(key) == [5]


def test_both_ways_of_counting_use_the_same_counters(rates: SetRates, key: Actor) -> None:
    rates(key=Rate(10, DAY))
    assert count(key, 2) == [9, 8]
    usage = get_usage(request(), group="key", key=lambda group, request: key.id, rate=(10, DAY), increment=True)
    assert (usage["count"], usage["limit"]) == (3, 10)
    assert count(key) == [6]


# --- Redis away ------------------------------------------------------------------------------


@pytest.fixture
def silent_redis(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        settings.REDIS_URL = f"redis://127.0.0.1:{server.getsockname()[1]}"
        settings.CACHES = settings.CACHES | {"limits": settings.CACHES["limits"] | {"LOCATION": settings.REDIS_URL}}
        monkeypatch.setattr(limits, "_rest_until", 0.0)
        yield server


def connections(server: socket.socket) -> int:
    found = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return found
        found += 1


def test_without_redis_requests_pass_and_only_the_first_waits(
    alice: Person, rates: SetRates, silent_redis: socket.socket, address: str
) -> None:
    rates(key=Rate(1, DAY), auth=Rate(1, DAY))
    program = alice.program()
    answers = [program.get("/api/instances") for _ in range(3)] + [log_in(address) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [401] * 3
    assert not any("RateLimit" in answer for answer in answers)
    assert connections(silent_redis) == 1


def test_redis_is_asked_again_after_a_rest(
    key: Actor, rates: SetRates, silent_redis: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits.check_caller(request(), key)
    monkeypatch.setattr(limits, "_rest_until", 0.0)
    limits.check_caller(request(), key)
    assert connections(silent_redis) == 2

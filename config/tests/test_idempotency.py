from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test import RequestFactory
from django.utils import timezone
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.actor import Actor
from accounts.models import User
from config import tasks
from config.api import idempotency
from config.api.idempotency import KEPT, Answer, Claim, once
from config.api.problems import Problem
from config.models import IdempotencyKey
from conftest import Person, assert_problem
from instances.models import Instance
from webhooks.models import Endpoint

pytestmark = pytest.mark.every_case
NEW = {"name": "Support", "network": "sandbox"}
CLAIM = Claim("org:test", "k", "f" * 64)
_tags = itertools.count()


def create(client: APIClient, key: str, body: Any = NEW, path: str = "/api/instances", **options: Any) -> Any:
    return client.post(path, body, format="json", headers={"Idempotency-Key": key}, **options)


def write_something() -> User:
    return User.objects.create_user(f"written-{next(_tags)}@example.com", "a long enough one", name="Written")


def age(by: timedelta) -> None:
    IdempotencyKey.objects.update(created_at=timezone.now() - by)


# --- the same request again ------------------------------------------------------------------


def test_the_same_request_gets_the_first_answer_and_no_second_effect(alice: Person) -> None:
    program = alice.program()
    first, second = create(program, "one"), create(program, "one")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert (first.get("Idempotent-Replayed"), second["Idempotent-Replayed"]) == (None, "true")
    assert Instance.objects.count() == 1
    assert create(program, "two").json()["id"] != first.json()["id"]


def test_without_a_key_nothing_is_kept(alice: Person) -> None:
    assert alice.program().post("/api/instances", NEW, format="json").status_code == 201
    assert not IdempotencyKey.objects.exists()


def test_the_spelling_of_the_json_and_of_the_key_makes_no_difference(alice: Person) -> None:
    program = alice.program()
    first = create(program, "a b")
    spelled = b'{ "network" : "sandbox",\n "name": "Supp\\u006frt" }'
    again = program.post(
        "/api/instances", spelled, content_type="application/json", headers={"Idempotency-Key": '"a b"'}
    )
    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "tab\there", "ümlaut"])
def test_a_key_that_is_none_is_refused(alice: Person, key: str) -> None:
    assert_problem(create(alice.program(), key), 400, "invalid_request")
    assert not Instance.objects.exists()


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/instances", NEW | {"name": "Sales"}), ("/api/instances?format=json", NEW), ("/api/sandbox/phones", NEW)],
    ids=["body", "query", "path"],
)
def test_another_request_with_the_key_is_refused(alice: Person, path: str, body: Any) -> None:
    program = alice.program()
    create(program, "one")
    assert_problem(create(program, "one", body, path), 422, "idempotency_key_reused")
    assert Instance.objects.count() == 1


def test_a_secret_in_the_answer_is_shown_again_and_stored_encrypted(alice: Person) -> None:
    body = {"url": "https://hooks.example.com/x", "events": ["*"]}
    first = create(alice.program(), "one", body, "/api/webhooks")
    assert create(alice.program(), "one", body, "/api/webhooks").json()["secret"] == first.json()["secret"]
    assert Endpoint.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM config_idempotencykey")
        assert first.json()["secret"] not in cursor.fetchone()[0]


# --- whose key it is -------------------------------------------------------------------------


def test_each_organization_mode_and_person_has_keys_of_its_own(alice: Person, charlie: Person) -> None:
    clients = [alice.program(), alice.program(mode="live"), alice.client, charlie.program(), charlie.client]
    answers = [
        create(client, "one", NEW | {"network": "whatsapp" if client is clients[1] else "sandbox"})
        for client in clients
    ]
    assert [answer.status_code for answer in answers] == [201] * 5
    assert len({answer.json()["id"] for answer in answers}) == 5


def test_another_api_key_with_the_same_rights_gets_the_first_answer(alice: Person) -> None:
    assert create(alice.program(), "one").json() == create(alice.program(), "one").json()


def test_an_api_key_with_fewer_rights_does_not_see_the_first_answer(alice: Person) -> None:
    create(alice.program(), "one")
    assert_problem(create(alice.program("manage"), "one"), 422, "idempotency_key_reused")
    assert_problem(create(alice.program("read"), "one"), 403, "missing_scope")


def test_an_api_key_of_other_instances_does_not_see_the_first_answer() -> None:
    def claim(instances: frozenset[str] | None) -> Claim:
        request = Request(RequestFactory().post("/api/x", "{}", "application/json", headers={"Idempotency-Key": "one"}))
        request.auth = Actor("org", "key", "id", frozenset({"send"}), "test", instances)
        found = idempotency.claim_of(request)
        assert found is not None
        return found

    claims = [claim(instances) for instances in (None, frozenset(), frozenset("a"), frozenset("ab"))]
    assert len({(claim.scope, claim.key) for claim in claims}) == 1
    assert len({claim.fingerprint for claim in claims}) == 4


def test_who_is_not_known_is_told_apart_by_address(db: None) -> None:
    def register(address: str, email: str) -> Any:
        body = {"email": email, "password": "correct horse battery staple", "name": "Dora"}
        return create(APIClient(), "one", body, "/api/auth/register", REMOTE_ADDR=address)

    first = register("192.0.2.1", "dora@example.com")
    assert first.status_code == 201, first.content
    assert register("192.0.2.1", "dora@example.com").json() == first.json()
    assert_problem(register("192.0.2.1", "other@example.com"), 422, "idempotency_key_reused")
    assert_problem(register("192.0.2.2", "dora@example.com"), 409, "email_taken")


# --- errors and crashes ----------------------------------------------------------------------


def test_an_error_frees_the_key(alice: Person) -> None:
    program = alice.program()
    assert_problem(create(program, "one", {"name": "x"}), 400, "invalid_request")
    assert create(program, "one").status_code == 201


def test_what_a_view_writes_before_it_refuses_stays(db: None) -> None:
    def refuse() -> Response:
        write_something()
        raise Problem("permission_denied")

    with pytest.raises(Problem):
        once(CLAIM, refuse, "together")
    assert User.objects.count() == 1
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("kind", ["together", "afterwards"])
@pytest.mark.parametrize("error", [RuntimeError, SystemExit, IntegrityError, OperationalError])
def test_a_view_that_breaks_leaves_the_key_free(db: None, kind: Any, error: type[BaseException]) -> None:
    def broken() -> Response:
        write_something()
        raise error

    with pytest.raises(error):
        once(CLAIM, broken, kind)
    assert User.objects.count() == (0 if kind == "together" else 1)
    assert not IdempotencyKey.objects.exists()


def test_an_answer_kept_with_the_effect_outlives_a_crash(committed: None) -> None:
    def cut_off() -> Response:
        with transaction.atomic():
            idempotency.keep(201, {"email": write_something().email})
        raise SystemExit

    with pytest.raises(SystemExit):
        once(CLAIM, cut_off, "afterwards")
    again = once(CLAIM, cut_off, "afterwards")
    assert (again.status_code, again.data) == (201, {"email": User.objects.get().email})
    assert "Idempotent-Replayed" in again


def test_an_effect_is_undone_when_somebody_else_has_taken_the_key_over(committed: None) -> None:
    def slow() -> Response:
        IdempotencyKey.objects.update(locked_until=timezone.now() + timedelta(minutes=5))
        with transaction.atomic():
            write_something()
            idempotency.keep(201, {})
        raise AssertionError

    with pytest.raises(Problem) as raised:
        once(CLAIM, slow, "afterwards")
    assert raised.value.code == "idempotency_key_in_use"
    assert not User.objects.exists()


def test_a_view_may_keep_its_answer_without_a_key(db: None) -> None:
    idempotency.keep(201, {})
    assert not IdempotencyKey.objects.exists()


def test_a_refusal_after_a_broken_statement_frees_the_key_too(committed: None) -> None:
    taken = write_something()

    def refuse() -> Response:
        try:
            User.objects.create(email=taken.email)
        except IntegrityError as error:
            raise Problem("email_taken") from error
        raise AssertionError

    with pytest.raises(Problem) as raised:
        once(CLAIM, refuse, "together")
    assert raised.value.code == "email_taken"
    assert not IdempotencyKey.objects.exists()


def test_a_request_that_a_crash_cut_off_may_run_again_when_its_lock_is_over(db: None) -> None:
    row = IdempotencyKey.objects.create(**CLAIM._asdict(), locked_until=timezone.now() + timedelta(seconds=5))
    with pytest.raises(Problem) as raised:
        once(CLAIM, lambda: Response(write_something().email), "together")
    assert raised.value.code == "idempotency_key_in_use"
    assert raised.value.headers == {"Retry-After": "1"}
    IdempotencyKey.objects.filter(pk=row.pk).update(locked_until=timezone.now())
    with pytest.raises(Problem) as raised:
        once(CLAIM._replace(fingerprint="0" * 64), lambda: Response(write_something().email), "together")
    assert raised.value.code == "idempotency_key_reused"
    assert not User.objects.exists()
    assert once(CLAIM, lambda: Response(write_something().email), "together").status_code == 200
    assert "Idempotent-Replayed" in once(CLAIM, lambda: Response(write_something().email), "together")
    assert User.objects.count() == 1


_DYING = """
import os, sys
import django
django.setup()
from config.api.idempotency import Claim, once
from config.tests.test_idempotency import write_something
once(Claim(*sys.argv[1:4]), lambda: write_something() and os._exit(9), sys.argv[4])
"""


@pytest.mark.parametrize("kind", ["together", "afterwards"])
def test_a_process_that_dies_in_a_view_leaves_a_lock_and_nothing_half_done(
    committed: None, settings: Settings, kind: Any
) -> None:
    name = connection.settings_dict["NAME"]
    server = os.environ["DATABASE_URL"].rpartition("/")[0]
    url = f"sqlite:///{name}" if connection.vendor == "sqlite" else f"{server}/{name}"
    command = [sys.executable, "-c", _DYING, *CLAIM, kind]
    ended = subprocess.run(command, env=os.environ | {"DATABASE_URL": url}, cwd=settings.BASE_DIR)
    assert ended.returncode == 9
    assert User.objects.count() == (0 if kind == "together" else 1)
    with pytest.raises(Problem) as raised:
        once(CLAIM, lambda: Response({}), kind)
    assert raised.value.code == "idempotency_key_in_use"
    IdempotencyKey.objects.update(locked_until=timezone.now())
    assert once(CLAIM, lambda: Response({"done": True}), kind).data == {"done": True}
    assert once(CLAIM, lambda: Response({}), kind).data == {"done": True}


@pytest.mark.parametrize("kind", ["together", "afterwards"])
def test_a_view_that_outlives_its_lock_overwrites_nothing(db: None, kind: Any) -> None:
    def slow() -> Response:
        write_something()
        IdempotencyKey.objects.update(locked_until=timezone.now() + timedelta(seconds=9))  # somebody else took over
        return Response({})

    if kind == "together":
        with pytest.raises(Problem) as raised:
            once(CLAIM, slow, kind)
        assert raised.value.code == "idempotency_key_in_use"
        assert not User.objects.exists()
    else:
        assert once(CLAIM, slow, kind).status_code == 200
        assert IdempotencyKey.objects.get().locked_until is not None


def test_an_answer_without_a_body_and_one_that_is_no_success(db: None) -> None:
    assert once(CLAIM, lambda: Response(status=204), "together").status_code == 204
    again = once(CLAIM, lambda: Response(status=500), "together")
    assert (again.status_code, again.data, again["Idempotent-Replayed"]) == (204, None, "true")
    other = CLAIM._replace(key="other")
    assert once(other, lambda: Response(status=404), "together").status_code == 404
    assert not IdempotencyKey.objects.filter(key="other").exists()


# --- at the same time ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["together", "afterwards"])
def test_of_many_at_once_one_runs_and_the_others_wait_or_get_its_answer(committed: None, kind: Any) -> None:
    ready = threading.Barrier(8)

    def view() -> Response:
        return Response({"email": write_something().email})

    def send(_: int) -> Any:
        try:
            ready.wait(timeout=30)
            return once(CLAIM, view, kind).data
        except Problem as problem:
            return problem.code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(send, range(8)))
    written = User.objects.get()
    assert {"email": written.email} in outcomes
    assert all(outcome in ({"email": written.email}, "idempotency_key_in_use") for outcome in outcomes)
    assert once(CLAIM, view, kind).data == {"email": written.email}


# --- the end ---------------------------------------------------------------------------------


def test_after_a_day_the_key_may_stand_for_another_request(alice: Person) -> None:
    program = alice.program()
    first = create(program, "one")
    age(KEPT - timedelta(minutes=1))
    assert create(program, "one").json() == first.json()
    age(KEPT)
    assert create(program, "one", NEW | {"name": "Sales"}).json()["name"] == "Sales"


def test_expired_keys_are_pruned_in_small_steps(db: None) -> None:
    for name in "abc":
        idempotency.done(CLAIM._replace(key=name), Answer(201, {"a": 1})).save()
    age(KEPT)
    idempotency.done(CLAIM, Answer(201, {"a": 1})).save()
    assert idempotency.prune(most=2) == 2
    tasks.prune()
    assert [row.key for row in IdempotencyKey.objects.all()] == ["k"]

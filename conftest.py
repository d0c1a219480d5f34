"""The cast: Alice owns Acme, Bob is a member, Rita may only look; Charlie owns another organization."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.core import serializers
from django.db import connection, transaction
from rest_framework.test import APIClient

from accounts import authentication
from accounts.actor import Actor
from accounts.api_keys import create_key
from accounts.hashers import BCryptHasher
from accounts.models import Membership, Mode, Organization, Role, Scope, Session, User
from accounts.selectors import actors_of_sessions
from accounts.services import register
from accounts.sessions import issue_tokens
from audit.tests.tampering import triggers_off
from config import context
from instances.models import Instance, Network
from instances.states import State, Wanted
from tests import conformance

PASSWORD = "correct horse battery staple"  # noqa: S105 (only tests know it)
_numbers = itertools.count(15550800001)  # none of those that tests name

BCryptHasher.rounds = 4  # the least that bcrypt takes: a person is made in most tests
settings.MIDDLEWARE = ["tests.conformance.Conformance", *settings.MIDDLEWARE]
conformance.watch_events()
settings.WHITENOISE_AUTOREFRESH = True  # looks for a static file when asked, where every new client would list all
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)  # a busy machine is no failure
hypothesis.settings.load_profile("unhurried")


@dataclass
class Person:
    """Somebody with an account; `client` is logged in with an access token."""

    user: User
    organization: Organization
    client: APIClient = field(init=False)
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.client = bearer(issue_tokens(user=self.user).access)
        self.session = self.user.sessions.get()

    @property
    def actor(self) -> Actor:
        return actors_of_sessions([self.session.id])[self.session.id][0]

    def key(self, *scopes: str, mode: str = Mode.TEST) -> str:
        """A new API key of the person's organization; all scopes unless some are named."""
        everything = Actor(self.organization.id, "user", self.user.id, frozenset(Scope.values))
        return create_key(actor=everything, name="Test", mode=mode, scopes=list(scopes or Scope.values))[1]

    def program(self, *scopes: str, mode: str = Mode.TEST) -> APIClient:
        """A client that uses a new API key."""
        return bearer(self.key(*scopes, mode=mode))


def bearer(credential: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {credential}")
    return client


def assert_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The body of an answer that is an error of the one shape, with this status and code."""
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json"), answer.content
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert {"type", "title", "detail", "request_id"} <= body.keys()
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer["X-Request-Id"]
    for error in body.get("errors", ()):
        assert set(error) == {"pointer", "code", "detail"}
        assert error["pointer"] == "" or error["pointer"].startswith("/")
    return body


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true value of the condition."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)
    return value


def somebody_waits_for_a_lock(kind: str = "%") -> bool:
    """Whether anybody waits in PostgreSQL for a lock, of this kind (``advisory``, ``transactionid`` …).

    In the present database: what runs at the same time has others.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock' AND wait_event LIKE %s)",
            [kind],
        )
        return bool(cursor.fetchone()[0])


def _member(organization: Organization, name: str, role: str) -> Person:
    user = User.objects.create_user(f"{name.lower()}@example.com", PASSWORD, name=name)
    Membership.objects.create(organization=organization, user=user, role=role)
    return Person(user, organization)


@pytest.fixture(autouse=True)
def _nobody_acts() -> Iterator[None]:
    token = context.enter(context.Origin())
    yield
    context.leave(token)


@pytest.fixture(autouse=True)
def _no_cached_keys() -> None:
    authentication.forget()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """After a test with real commits all tables are emptied, the append-only ones as well, and filled with what
    migrations wrote: at once, whichever test is next, and in bulk, which saves a fifth of a second for each of them.
    """
    contents = getattr(connection, "_test_serialized_contents", "[]")  # is only there if some test commits
    written = serializers.deserialize("json", contents)
    of_models: dict[type[Any], list[Any]] = {
        model: list(rows) for model, rows in itertools.groupby((one.object for one in written), type)
    }
    flush = connection.ops.execute_sql_flush

    def flush_and_fill(statements: Any) -> None:
        with transaction.atomic():
            with triggers_off():
                flush(statements)
            for model, rows in of_models.items():
                model._base_manager.bulk_create(rows)

    setattr(connection.ops, "execute_sql_flush", flush_and_fill)  # noqa: B010 (to mypy a method is no attribute)
    setattr(connection.creation, "deserialize_db_from_string", lambda contents: None)  # noqa: B010


@pytest.fixture
def committed(django_db_serialized_rollback: None, transactional_db: None) -> None:
    """Transactions really commit, for tests with threads; what migrations wrote is there."""


@pytest.fixture
def anonymous() -> APIClient:
    return APIClient()


@pytest.fixture
def alice(db: None) -> Person:
    return Person(*register(email="alice@example.com", password=PASSWORD, name="Alice"))


@pytest.fixture
def bob(alice: Person) -> Person:
    return _member(alice.organization, "Bob", Role.MEMBER)


@pytest.fixture
def rita(alice: Person) -> Person:
    return _member(alice.organization, "Rita", Role.VIEWER)


@pytest.fixture
def charlie(db: None) -> Person:
    return Person(*register(email="charlie@example.com", password=PASSWORD, name="Charlie"))


@pytest.fixture
def make_instance(db: None) -> Callable[..., Instance]:
    """Makes an instance; by default a linked and connected one on the sandbox network."""

    def make(owner: Person, **columns: Any) -> Instance:
        phone = str(next(_numbers))
        defaults = {
            "name": "Support",
            "network": Network.SANDBOX,
            "wanted": Wanted.CONNECTED,
            "state": State.CONNECTED,
            "reason": "online",
            "phone": phone,
            "device_jid": f"{phone}:1@s.whatsapp.net",
        }
        return Instance.objects.create(organization=owner.organization, **(defaults | columns))

    return make


@pytest.fixture
def instance(alice: Person, make_instance: Callable[..., Instance]) -> Instance:
    """Alice's linked and connected sandbox instance."""
    return make_instance(alice)

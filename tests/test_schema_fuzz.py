"""Requests made up from the description: no 500, no undocumented answer, no bad input accepted, no good one refused.

A long run: ``make fuzz EXAMPLES=1000 SEED=7``.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, settings
from pytest_django import Settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import (
    ChecksConfig,
    CoveragePhaseConfig,
    FuzzingPhaseConfig,
    GenerationConfig,
    OperationConfig,
    OperationsConfig,
    PhasesConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
    SimpleCheckConfig,
)
from schemathesis.core.result import Ok
from schemathesis.filters import FilterSet
from schemathesis.generation import GenerationMode
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.specs.openapi.checks import positive_data_acceptance

from accounts.sessions import issue_tokens
from broadcasts.models import Broadcast, OptOut, Sender, Template
from config.api.openapi import document
from config.variables import Rate
from conftest import Person
from instances.models import Instance
from media.models import Media
from messaging.kinds.rules import CODES
from messaging.models import Message
from phones.tests.numbers import new_number
from tests.conformance import Arbitrary
from webhooks.events import Draft, append
from webhooks.models import Delivery, Endpoint

pytestmark = [pytest.mark.django_db, pytest.mark.fuzz, pytest.mark.only_with("postgres")]  # the stricter one
DEFAULT_EXAMPLES = 3
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", DEFAULT_EXAMPLES))
SEED = int(os.environ.get("FUZZ_SEED", "3"))

# A request that is well-formed may still be refused for what is the case: 402, 422 and 429 beside the usual ones.
BEYOND_SCHEMA = {"range", "group", "unknown_plan", "invalid_url", "wrong_password", "past", "network", "not_found"}
BEYOND_SCHEMA |= CODES
# Of templates and tables.
BEYOND_SCHEMA |= {"invalid_variable", "too_many_variables", "unknown_variable", "missing_variable", "data_for_many"}
BEYOND_SCHEMA |= {"invalid_csv", "not_utf8", "word"}
BEYOND_SCHEMA |= {"unknown_timezone", "same_times", "send_at_in_past", "send_at_too_far", "client_ref_missing"}
# Of webhook endpoints.
BEYOND_SCHEMA |= {"reserved_header", "repeated_header", "headers_too_long", "secret_in_use", "invalid_secret"}
BEYOND_SCHEMA |= {"empty_range", "too_long_ago"}
# A short run goes through what may be in a request, or makes a few up where the former takes minutes: for bodies that
# hold a message of any type (messaging/tests/test_payload_hypothesis.py tries wrong ones of each type always), and for
# the many filters of messages and deliveries (messaging/tests/test_finding.py and webhooks/tests/test_finding.py try
# each). That nobody gets in without credentials is tried for every route by tests/test_access_matrix.py, and here for
# every request of a long run.
HOLD_MESSAGES = "/api/(messages|messages/batch|templates|broadcasts|sandbox/phones/{phone}/messages)$"
IS_SHORT = EXAMPLES == DEFAULT_EXAMPLES
_REFUSED = ["2xx", "401", "402", "403", "404", "409", "422", "429"]


def _with(phases: PhasesConfig, choose: str) -> OperationConfig:
    chosen = FilterSet()
    getattr(chosen, choose)(method="POST", path_regex=HOLD_MESSAGES)
    getattr(chosen, choose)(method="GET", path="/api/messages")
    getattr(chosen, choose)(method="GET", path="/api/webhooks/{endpoint_id}/deliveries")
    return OperationConfig(filter_set=chosen, phases=phases)


_SHORTENED = [
    _with(PhasesConfig(coverage=CoveragePhaseConfig(enabled=False)), "include"),
    _with(PhasesConfig(fuzzing=FuzzingPhaseConfig(enabled=False)), "exclude"),
]
_config = SchemathesisConfig(
    seed=SEED,
    projects=ProjectsConfig(
        default=ProjectConfig(
            generation=GenerationConfig(
                max_examples=EXAMPLES, deterministic=True, database="none", with_security_parameters=False
            ),
            phases=PhasesConfig(coverage=CoveragePhaseConfig(unexpected_methods={"PUT", "TRACE"})),
            operations=OperationsConfig(operations=_SHORTENED if IS_SHORT else []),
            checks=ChecksConfig(
                positive_data_acceptance=PositiveDataAcceptanceConfig(expected_statuses=_REFUSED),
                ignored_auth=SimpleCheckConfig(enabled=not IS_SHORT),
            ),
        )
    ),
)


@dataclass
class World:
    """What exists, and who calls: a person with an access token, or a program with a key."""

    credentials: list[dict[str, str]]
    ids: dict[str, str]
    organization: str

    def headers(self, case: schemathesis.Case) -> dict[str, str]:
        return self.credentials[_number_of(case) // 4 % len(self.credentials)] | {"X-Organization": self.organization}

    def place(self, case: schemathesis.Case) -> None:
        """Give a good case ids of what exists, in two cases of three."""
        _drop_cursor(case)
        if _is_good(case) and _number_of(case) // 4 % 3:
            for name in case.path_parameters.keys() & self.ids.keys():
                case.path_parameters[name] = self.ids[name]
            if isinstance(case.body, dict) and isinstance(case.body.get("instance"), str):
                case.body["instance"] = self.ids["instance_id"]
                if "@" not in str(case.body.get("to", "@")):
                    case.body["to"] = "15550100002"  # no pattern says which numbers a country can have


def _is_good(case: schemathesis.Case) -> bool:
    return case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE


def _drop_cursor(case: schemathesis.Case) -> None:
    """Only a page gives a cursor that is one."""
    if _is_good(case) and case.query:
        case.query.pop("cursor", None)


def _number_of(case: schemathesis.Case) -> int:
    """The same number for the same case, so that a run can be had again."""
    return zlib.crc32(repr((case.method, case.path, case.path_parameters, case.query, case.body)).encode())


@contextmanager
def rolled_back() -> Iterator[None]:
    """Nothing of what happens inside stays. The end of a request does not close the transaction's connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        with transaction.atomic():
            yield
            transaction.set_rollback(True)
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@pytest.fixture(autouse=True)
def _no_limits(settings: Settings) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, Rate(10**9, 60))


@pytest.fixture
def world(alice: Person, instance: Instance, sandbox: Callable[..., Any]) -> World:
    endpoint = Endpoint.objects.create(organization=alice.organization, url="https://example.com", events=["*"])
    message = Message.objects.create(
        organization=alice.organization,
        instance=instance,
        direction="outbound",
        status="sent",
        type="text",
        content={"body": "Hello"},
        chat="15550100002@s.whatsapp.net",
    )
    phone = new_number()
    alice.client.post("/api/sandbox/phones", {"phone": phone, "name": "Carla"}, format="json")
    media = Media.objects.create(organization=alice.organization, source="upload", status="failed")
    ids = {"instance_id": instance.id, "endpoint_id": endpoint.id, "message_id": message.id, "phone": phone}
    ids["media_id"] = media.id
    with transaction.atomic():
        append([Draft(alice.organization.id, instance.id, instance.network, "message.received", Arbitrary())])
    ids["delivery_id"] = Delivery.objects.get().id
    ids |= _audience(alice, instance)
    token = issue_tokens(user=alice.user).access
    return World([{"Authorization": f"Bearer {token}"}, {"X-API-Key": alice.key()}], ids, alice.organization.id)


def _audience(alice: Person, instance: Instance) -> dict[str, str]:
    of: dict[str, Any] = {"organization": alice.organization}
    message = {"type": "text", "text": {"body": "Hello {{name|there}}"}}
    template = Template.objects.create(**of, name="Greeting", message=message)
    broadcast = Broadcast.objects.create(**of, network=instance.network, message=message)
    Sender.objects.create(broadcast=broadcast, instance=instance)
    opt_out = OptOut.objects.create(**of, network=instance.network, phone="15550100003", source="api")
    return {"template_id": template.id, "broadcast_id": broadcast.id, "opt_out_id": opt_out.id}


def _beyond_schema(response: schemathesis.Response) -> bool:
    """Refused for what no schema can say."""
    codes = [error["code"] for error in response.json().get("errors", ())] if response.status_code == 400 else []
    return bool(codes) and all(code in BEYOND_SCHEMA or code.startswith("password_") for code in codes)


def _excluded(case: schemathesis.Case, response: schemathesis.Response) -> list[Any]:
    """The checks that do not hold for an answer, for a reason."""
    if case.path == "/health":  # it says that parts are away, as they are
        return [not_a_server_error, positive_data_acceptance]
    if response.status_code == 501:  # the engine cannot do what is right otherwise
        return [not_a_server_error, positive_data_acceptance]
    if response.status_code == 503 and response.json()["code"] == "instance_offline":  # nobody holds a number here
        return [not_a_server_error, positive_data_acceptance]
    return [positive_data_acceptance] if _beyond_schema(response) else []


def _check(case: schemathesis.Case, world: World) -> None:
    if IS_SHORT and _number_of(case) % 4:
        return  # three of four are left to long runs
    world.place(case)
    with rolled_back():
        headers = world.headers(case)
        response = case.call(headers=headers)
        case.validate_response(response, headers=headers, excluded_checks=_excluded(case, response))


def _described() -> Any:
    print(f"FUZZ_SEED={SEED}")
    # A copy: cases use the examples as they stand, and `place` writes into them.
    schema = schemathesis.openapi.from_dict(deepcopy(document()), config=_config)
    schema.app = WSGIHandler()
    # To make up what is wrong with an optional choice among thirteen shapes takes gigabytes; POST has the same one.
    return schema.exclude(method="PATCH", path="/api/templates/{template_id}")


_UNHURRIED = settings(suppress_health_check=list(HealthCheck), deadline=None)


@pytest.mark.timeout(600 if IS_SHORT else 0)
def test_what_the_description_says_holds(world: World, subtests: pytest.Subtests) -> None:
    # Not `schema.parametrize`: it makes all cases when tests are collected, which takes as long as many tests.
    for found in get_all_tests(schema=_described(), test_func=_check, settings=_UNHURRIED, given_kwargs=None):
        assert isinstance(found, Ok), found
        operation, run = found.ok()
        with subtests.test(operation.label):
            run(world=world)


@pytest.mark.timeout(600 if IS_SHORT else 0)
def test_what_it_says_holds_for_requests_that_follow_from_each_other(world: World) -> None:
    machine: Any = _described().as_state_machine()

    class Workflow(machine):
        def setup(self) -> None:
            self.transaction = rolled_back()
            self.transaction.__enter__()

        def teardown(self) -> None:
            self.transaction.__exit__(None, None, None)

        def before_call(self, case: schemathesis.Case) -> None:
            _drop_cursor(case)

        def get_call_kwargs(self, case: schemathesis.Case) -> dict[str, Any]:
            return {"headers": world.headers(case)}

        def validate_response(self, response: schemathesis.Response, case: schemathesis.Case, **others: Any) -> None:
            case.validate_response(response, excluded_checks=_excluded(case, response), **others)

    Workflow.run(settings=settings(_UNHURRIED, max_examples=2 * EXAMPLES, stateful_step_count=8, derandomize=True))

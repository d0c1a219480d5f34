"""Every route, tried by everybody: who gets in, and with which words the others are sent away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts import authentication
from accounts.organizations import suspend
from conftest import PASSWORD
from tests.access_world import Caller, Tenant, callers


@dataclass(frozen=True)
class Row:
    """One method of one route: what it needs, what it answers to who may, whose object it names.

    ``needs`` is a scope or a permission, empty where nobody looks at credentials,
    ``anybody`` where none are needed but wrong ones refused. ``answer`` is a status, with a code if it
    is an error. ``of`` is a key of FOREIGN. ``while_suspended`` is for writes that a suspended organization may do.
    Texts in ``body`` may have placeholders, like the path.
    """

    route: str
    needs: str
    answer: str
    of: str = ""
    body: Any = None
    while_suspended: bool = False
    anonymous: str = "401 not_authenticated"


_SANDBOX = {
    "instance": "403 permission_denied",
    "sandbox": "403 live_key_on_sandbox",
    "of live": "403 live_key_on_sandbox",
}
# What strangers to an object are told, by kind of object and by what makes them strangers.
FOREIGN: dict[str, dict[str, str]] = {
    "": {},
    "instance": {
        "organization": "404 not_found",
        "instance": "404 not_found",
        "live": "403 test_key_on_live",
        "sandbox": "403 live_key_on_sandbox",
    },
    "network": {
        "instance": "403 permission_denied",
        "live": "403 test_key_on_live",
        "sandbox": "403 live_key_on_sandbox",
    },
    "message": dict.fromkeys(("organization", "instance", "live", "sandbox"), "404 not_found"),
    "whole organization": {"instance": "403 permission_denied"},
    "template": {"organization": "404 not_found"},
    "broadcast": dict.fromkeys(("organization", "instance", "live", "sandbox"), "404 not_found"),
    "endpoint": dict.fromkeys(("organization", "instance", "live", "sandbox"), "404 not_found"),
    "phone": {"organization": "404 not_found", **_SANDBOX},
    "phones": _SANDBOX,
    "new phone": {"organization": "409 phone_taken", **_SANDBOX},
    "scan": {"organization": "404 not_found", "live": "403 test_key_on_live", **_SANDBOX},
    "people": {"organization": "404 not_found"},
    "mine": {"organization": "404 not_found", "person": "404 not_found"},
}
TEXT = {"instance": "{instance_id}", "to": "15550100002", "type": "text", "text": {"body": "Hello"}}
BROADCAST = {
    "instance": "{instance_id}",
    "message": {"type": "text", "text": {"body": "Hello"}},
    "recipients": [{"to": "15550100002"}],
}
NEW = "another correct horse battery"
KEY = {"name": "Shop", "mode": "test", "scopes": ["read"]}

ROWS = [
    Row("GET /health", "", "503"),
    Row("GET /metrics", "", "200"),
    Row("GET /livez", "", "200"),
    Row("GET /readyz", "", "200"),
    Row("GET /api/version", "", "200"),
    Row("GET /api/", "anybody", "200", anonymous="200"),
    Row("GET /api/schema", "", "200"),
    Row("GET /api/docs", "", "200"),
    Row("POST /api/auth/register", "", "201", body={"email": "new@example.com", "password": PASSWORD, "name": "New"}),
    Row("POST /api/auth/login", "", "200", body={"email": "{email}", "password": PASSWORD}),
    Row("POST /api/auth/refresh", "", "200", body={"refresh": "{refresh}"}),
    Row("POST /api/auth/logout", "self", "204", body={}),
    Row("POST /api/auth/logout-everywhere", "self", "204"),
    Row("GET /api/auth/sessions", "self", "200"),
    Row("DELETE /api/auth/sessions/{session_id}", "self", "204", "mine"),
    Row("GET /api/auth/me", "self", "200"),
    Row("PATCH /api/auth/me", "self", "200", body={"name": "Somebody"}),
    Row("POST /api/auth/change-password", "self", "200", body={"current_password": PASSWORD, "password": NEW}),
    Row("POST /api/auth/verify-email", "", "422 invalid_link", body={"token": "nonsense"}),
    Row("POST /api/auth/verify-email/resend", "", "202", body={"email": "{email}"}),
    Row("POST /api/auth/password-reset", "", "202", body={"email": "{email}"}),
    Row("POST /api/auth/password-reset/confirm", "", "422 invalid_link", body={"token": "nonsense", "password": NEW}),
    Row("GET /api/organizations", "self", "200"),
    Row("POST /api/organizations", "self", "201", body={"name": "Second"}),
    Row("GET /api/organization", "read", "200"),
    Row("PATCH /api/organization", "own", "200", body={"name": "Renamed"}),
    Row("POST /api/organization/transfer", "own", "200", "people", {"member": "{member_id}"}),
    Row("GET /api/members", "team", "200"),
    Row("PATCH /api/members/{member_id}", "members", "200", "people", {"role": "viewer"}),
    Row("DELETE /api/members/{member_id}", "members", "204", "people", while_suspended=True),
    Row("GET /api/invitations", "members", "200"),
    Row("POST /api/invitations", "members", "201", body={"email": "new@example.com", "role": "member"}),
    Row("DELETE /api/invitations/{invitation_id}", "members", "204", "people", while_suspended=True),
    Row("POST /api/invitations/{invitation_id}/resend", "members", "202", "people"),
    Row(
        "POST /api/invitations/accept",
        "self",
        "422 invalid_link",
        body={"token": "nonsense"},
        anonymous="400 invalid_request",
    ),
    Row("GET /api/keys", "keys", "200"),
    Row("POST /api/keys", "keys", "201", body=KEY),
    Row("GET /api/keys/{key_id}", "keys", "200", "people"),
    Row("PATCH /api/keys/{key_id}", "keys", "200", "people", {"name": "Renamed"}),
    Row("DELETE /api/keys/{key_id}", "keys", "204", "people", while_suspended=True),
    Row("POST /api/keys/{key_id}/rotate", "keys", "201", "people", {"overlap_seconds": 0}),
    Row("GET /api/audit", "audit", "200"),
    Row("GET /api/plans", "", "200"),
    Row("GET /api/subscription", "read", "200"),
    Row("PATCH /api/subscription", "billing", "200", body={"plan": "pro"}),
    Row("GET /api/usage", "read", "200"),
    Row("GET /api/audit", "audit", "200"),
    Row("GET /api/instances", "read", "200"),
    Row("POST /api/instances", "manage", "201", "network", {"name": "Support", "network": "{network}"}),
    Row("GET /api/instances/{instance_id}", "read", "200", "instance"),
    Row("PATCH /api/instances/{instance_id}", "manage", "200", "instance", body={"name": "Sales"}),
    Row("POST /api/instances/{instance_id}/connect", "manage", "202", "instance"),
    Row("POST /api/instances/{instance_id}/stop", "manage", "202", "instance"),
    Row("POST /api/instances/{instance_id}/restart", "manage", "202", "instance"),
    Row("POST /api/instances/{instance_id}/logout", "manage", "202", "instance"),
    Row("DELETE /api/instances/{instance_id}", "manage", "204", "instance"),
    Row("DELETE /api/instances/{instance_id}/linking", "manage", "202", "instance"),
    Row("GET /api/instances/{instance_id}/history", "read", "200", "instance"),
    Row("GET /api/instances?label=VIP", "read", "200"),
    Row("POST /api/instances/{instance_id}/link-page", "manage", "409 instance_already_linked", "instance", {}),
    Row("DELETE /api/instances/{instance_id}/link-page", "manage", "204", "instance"),
    Row("GET /link", "", "200"),
    Row("GET /api/link-page", "", "422 invalid_link"),
    Row("POST /api/link-page/start", "", "422 invalid_link"),
    Row("POST /api/link-page/pairing-code", "", "422 invalid_link", body={"phone": "15550100002"}),
    Row("POST /api/instances/{instance_id}/cold-hold/resume", "manage", "202", "instance"),
    Row("GET /api/instances/{instance_id}/profile", "read", "503 instance_offline", "instance"),
    Row("PATCH /api/instances/{instance_id}/profile", "manage", "503 instance_offline", "instance", {"name": "Acme"}),
    Row(
        "PUT /api/instances/{instance_id}/profile/picture",
        "manage",
        "409 media_not_stored",
        "instance",
        {"id": "{media_id}"},
    ),
    Row("DELETE /api/instances/{instance_id}/profile/picture", "manage", "501 unsupported_by_engine", "instance"),
    Row(
        "PUT /api/instances/{instance_id}/presence",
        "send",
        "503 instance_offline",
        "instance",
        {"presence": "available"},
    ),
    Row("GET /api/instances/{instance_id}/privacy", "read", "503 instance_offline", "instance"),
    Row("PATCH /api/instances/{instance_id}/privacy", "manage", "503 instance_offline", "instance", {"online": "all"}),
    Row("GET /api/instances/{instance_id}/blocks", "read", "503 instance_offline", "instance"),
    Row("PUT /api/instances/{instance_id}/blocks/{contact}", "send", "503 instance_offline", "instance"),
    Row("DELETE /api/instances/{instance_id}/blocks/{contact}", "send", "503 instance_offline", "instance"),
    Row("GET /api/instances/{instance_id}/contact-link", "read", "503 instance_offline", "instance"),
    Row("POST /api/instances/{instance_id}/contact-link/revoke", "manage", "503 instance_offline", "instance"),
    Row("GET /api/instances/{instance_id}/qr", "manage", "409 no_qr", "instance"),
    Row("GET /api/instances/{instance_id}/pairing-code", "manage", "200", "instance"),
    Row(
        "POST /api/instances/{instance_id}/pairing-code",
        "manage",
        "409 instance_already_linked",
        "instance",
        {"phone": "15550100002"},
    ),
    Row("GET /api/media", "read", "200"),
    Row("GET /api/media?instance={instance_id}", "read", "200", "instance"),
    Row("POST /api/media", "send", "201", body={"data": "aGVsbG8="}),
    Row("GET /api/media/{media_id}", "read", "200", "message"),
    Row("GET /api/media/{media_id}/content", "read", "409 media_not_stored", "message"),
    Row("POST /api/media/{media_id}/fetch", "send", "409 media_not_fetchable", "message"),
    Row("DELETE /api/media/{media_id}", "send", "204", "message"),
    Row("GET /files/3EB0A", "", "404 not_found"),
    Row("GET /api/messages", "read", "200"),
    Row("GET /api/messages?instance={instance_id}", "read", "200", "instance"),
    Row("POST /api/messages", "send", "202", "instance", TEXT),
    Row("POST /api/messages/batch", "send", "202", body={"messages": [TEXT]}),
    Row("GET /api/messages/{message_id}", "read", "200", "message"),
    Row("POST /api/messages/{message_id}/read", "send", "409 not_received", "message"),
    Row("GET /api/instances/{instance_id}/calls", "read", "200", "instance"),
    Row("POST /api/instances/{instance_id}/calls/{call_id}/reject", "send", "409 call_ended", "instance"),
    Row("GET /api/chats?instance={instance_id}", "read", "200", "instance"),
    Row("GET /api/chats/{chat_id}", "read", "200", "message"),
    Row("GET /api/chats/{chat_id}/export", "read", "200", "message"),
    Row("GET /api/contacts?instance={instance_id}", "read", "200", "instance"),
    Row(
        "POST /api/contacts/check",
        "send",
        "503 instance_offline",
        "instance",
        {"instance": "{instance_id}", "phones": ["15550100007"]},
    ),
    Row(
        "POST /api/contacts/resolve-link",
        "send",
        "503 instance_offline",
        "instance",
        {"instance": "{instance_id}", "link": "https://wa.me/qr/ABCDEFGHIJKLM1"},
    ),
    Row("GET /api/contacts/{contact}?instance={instance_id}", "read", "503 instance_offline", "instance"),
    Row("GET /api/contacts/{contact}/picture?instance={instance_id}", "read", "503 instance_offline", "instance"),
    Row("GET /api/contacts/{contact}/presence?instance={instance_id}", "read", "503 instance_offline", "instance"),
    Row("GET /api/contacts/{contact}/export?instance={instance_id}", "manage", "200", "instance"),
    Row("DELETE /api/contacts/{contact}?instance={instance_id}", "manage", "202", "instance"),
    Row("GET /api/erasures/{erasure_id}", "manage", "200", "message"),
    Row("POST /api/chats/{chat_id}/read", "send", "200", "message"),
    Row("POST /api/chats/{chat_id}/typing", "send", "503 instance_offline", "message", {"state": "paused"}),
    Row("GET /api/templates", "read", "200"),
    Row("POST /api/templates", "send", "201", body={"name": "New", "message": {"text": {"body": "Hello"}}}),
    Row("GET /api/templates/{template_id}", "read", "200", "template"),
    Row("PATCH /api/templates/{template_id}", "send", "200", "template", {"name": "Renamed"}),
    Row("DELETE /api/templates/{template_id}", "send", "204", "template"),
    Row("POST /api/templates/{template_id}/preview", "read", "200", "template", {}),
    Row("GET /api/broadcasts", "read", "200"),
    Row("POST /api/broadcasts", "send", "202", "instance", BROADCAST),
    Row("GET /api/broadcasts/{broadcast_id}", "read", "200", "broadcast"),
    Row("GET /api/broadcasts/{broadcast_id}/recipients", "read", "200", "broadcast"),
    Row(
        "POST /api/broadcasts/{broadcast_id}/recipients",
        "send",
        "202",
        "broadcast",
        {"recipients": BROADCAST["recipients"]},
    ),
    Row("POST /api/broadcasts/{broadcast_id}/start", "send", "422 no_recipients", "broadcast"),
    Row("POST /api/broadcasts/{broadcast_id}/pause", "send", "409 broadcast_not_running", "broadcast"),
    Row("POST /api/broadcasts/{broadcast_id}/resume", "send", "409 broadcast_not_running", "broadcast"),
    Row("POST /api/broadcasts/{broadcast_id}/cancel", "send", "200", "broadcast"),
    Row("GET /api/broadcasts/{broadcast_id}/report.csv", "read", "200", "broadcast"),
    Row("GET /api/opt-outs", "read", "200"),
    Row("POST /api/opt-outs", "send", "201", "network", {"to": "15550100003", "network": "{network}"}),
    Row("DELETE /api/opt-outs/{opt_out_id}", "send", "204", "broadcast"),
    Row("GET /api/opt-outs/keywords", "read", "200"),
    Row("PATCH /api/opt-outs/keywords", "manage", "200", "whole organization", body={"stop": ["STOP"], "start": []}),
    Row("PATCH /api/messages/{message_id}", "send", "400 invalid_request", "message", {"send_at": "2020-01-01T00:00Z"}),
    Row("DELETE /api/messages/{message_id}", "send", "409 message_already_sent", "message", while_suspended=True),
    Row("GET /api/webhooks", "webhooks", "200"),
    Row("POST /api/webhooks", "webhooks", "201", body={"url": "https://example.com", "events": ["*"]}),
    Row("GET /api/webhooks/{endpoint_id}", "webhooks", "200", "endpoint"),
    Row("PATCH /api/webhooks/{endpoint_id}", "webhooks", "200", "endpoint", {"enabled": False}),
    Row("DELETE /api/webhooks/{endpoint_id}", "webhooks", "204", "endpoint"),
    Row("POST /api/webhooks/{endpoint_id}/rotate-secret", "webhooks", "200", "endpoint"),
    Row("POST /api/webhooks/{endpoint_id}/test", "webhooks", "202", "endpoint"),
    Row("GET /api/webhooks/{endpoint_id}/deliveries", "webhooks", "200", "endpoint"),
    Row("GET /api/webhooks/{endpoint_id}/deliveries/{delivery_id}", "webhooks", "200", "endpoint"),
    Row("POST /api/webhooks/{endpoint_id}/deliveries/{delivery_id}/resend", "webhooks", "202", "endpoint"),
    Row("POST /api/deliveries/{delivery_id}/resend", "webhooks", "202", "endpoint"),
    Row("POST /api/webhooks/{endpoint_id}/recover", "webhooks", "202", "endpoint", {"since": "{hour_ago}"}),
    Row(
        "POST /api/webhooks/{endpoint_id}/replay",
        "webhooks",
        "202",
        "endpoint",
        {"since": "{hour_ago}", "until": "{now}"},
    ),
    Row("GET /api/webhooks/{endpoint_id}/replays", "webhooks", "200", "endpoint"),
    Row("GET /api/webhooks/{endpoint_id}/replays/{replay_id}", "webhooks", "200", "endpoint"),
    Row("DELETE /api/webhooks/{endpoint_id}/replays/{replay_id}", "webhooks", "204", "endpoint"),
    Row("GET /api/event-types", "", "200"),
    Row("GET /api/events", "read", "200"),
    Row("GET /api/events?instance={instance_id}", "read", "200", "instance"),
    Row("POST /api/events/ticket", "read", "201"),
    Row("GET /api/sandbox/phones", "read", "200", "phones"),
    Row("POST /api/sandbox/phones", "manage", "201", "new phone", {"phone": "{phone}", "name": "Carla"}),
    Row("POST /api/sandbox/phones/{phone}/scan", "manage", "409 no_qr", "scan", {"instance": "{instance_id}"}),
    Row("POST /api/sandbox/phones/{phone}/enter-code", "manage", "409 no_pairing", "phone", {"code": "ABCD-1234"}),
    Row("GET /api/sandbox/phones/{phone}/messages", "read", "200", "phone"),
    Row(
        "POST /api/sandbox/phones/{phone}/messages",
        "send",
        "422 not_on_whatsapp",
        "phone",
        {"to": "15550100002", "text": "Hello"},
    ),
    Row("POST /api/sandbox/phones/{phone}/messages/3EB0A/read", "send", "404 not_found", "phone"),
    Row("GET /api/sandbox/phones/{phone}/calls", "read", "200", "phone"),
    Row("POST /api/sandbox/phones/{phone}/calls", "send", "422 not_on_whatsapp", "phone", {"to": "15550100002"}),
    Row("DELETE /api/sandbox/phones/{phone}/calls/3EB0A", "send", "404 not_found", "phone"),
]
# Pages for people, tried by tests of their own.
PAGES = {"/account/", "/admin/"}


def _routes(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[tuple[str, str]]:
    """Method and path, with the names of parameters, of everything that the URLconf leads to."""
    for pattern in (resolver or get_resolver()).url_patterns:
        path = prefix + str(pattern.pattern)
        if any(path.startswith(page) for page in PAGES):
            continue
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern, path)
        elif isinstance(pattern, URLPattern):
            methods = pattern.callback.cls().allowed_methods if hasattr(pattern.callback, "cls") else ["GET"]
            for method in set(methods) - {"HEAD", "OPTIONS"}:
                yield method, re.sub(r"<(?:\w+:)?(\w+)>", "{}", path)


def test_every_method_of_every_route_stands_in_the_matrix() -> None:
    rows = {row.route.partition("?")[0] for row in ROWS}
    declared = {re.sub(r"\{\w+\}", "{}", route).replace("3EB0A", "{}") for route in rows}
    existing = {f"{method} {path}" for method, path in _routes()}
    assert existing - declared == set(), "add a Row for each"
    assert declared - existing == set()


def expected(row: Row, caller: Caller) -> str:
    """Status and code of a cell."""
    method = row.route.partition(" ")[0]
    if not row.needs:
        return row.answer
    if caller.may is None:
        return caller.refusal or row.anonymous
    if row.needs != "anybody" and row.needs not in caller.may:
        return "403 missing_scope" if caller.is_key else "403 permission_denied"
    if caller.suspended and method != "GET" and row.needs != "self" and not row.while_suspended:
        return "403 organization_suspended"
    return FOREIGN[row.of].get(caller.foreign, row.answer)


def _filled(value: Any, names: dict[str, str]) -> Any:
    match value:
        case str():
            return value.format_map(names)
        case dict():
            return {key: _filled(inner, names) for key, inner in value.items()}
        case list():
            return [_filled(inner, names) for inner in value]
    return value


def _call(client: APIClient, row: Row, names: dict[str, str]) -> Any:
    method, _, path = row.route.partition(" ")
    arguments = {} if row.body is None else {"data": _filled(row.body, names), "format": "json"}
    return getattr(client, method.lower())(_filled(path, names), **arguments)


def _said(answer: Any) -> str:
    if answer.get("Content-Type") == "application/problem+json":
        return f"{answer.status_code} {answer.json()['code']}"
    return str(answer.status_code)


@pytest.fixture
def world(db: None, sandbox: Callable[..., Any]) -> dict[str, Caller]:
    acme, other, frozen = Tenant("Acme"), Tenant("Other"), Tenant("Frozen")
    found = callers(acme, other, frozen)
    suspend(organization=frozen.organization, reason="operator")
    return found


@pytest.mark.only_with("postgres")
@pytest.mark.timeout(900)  # every route for every kind of caller, while other tests want the processors
def test_everybody_gets_what_the_matrix_says(world: dict[str, Caller], subtests: pytest.Subtests) -> None:
    for row in ROWS:
        with subtests.test(row.route):
            wrong = {}
            for name, caller in world.items():
                authentication.forget()
                with transaction.atomic():
                    answer = _call(caller.client, row, caller.target)
                    transaction.set_rollback(True)
                said, text = _said(answer), answer.getvalue().decode(errors="replace")
                if said != expected(row, caller):
                    wrong[name] = f"{said}, not {expected(row, caller)}"
                elif row.needs and (seen := [hidden for hidden in caller.hidden if hidden in text]):
                    wrong[name] = f"sees {seen}"
            assert wrong == {}

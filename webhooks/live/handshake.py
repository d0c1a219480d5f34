"""Who opens a socket, from where, and what for."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from accounts.actor import Actor
from accounts.authentication import authenticate
from accounts.models import Scope
from accounts.permissions import check_may
from config.api.middleware import client_address
from config.api.problems import Problem
from webhooks import cursors, tickets
from webhooks.live.subscriptions import Interest, Subscription, subscription_of

_ONCE = ("authorization", "x-api-key", "x-organization", "origin", "host")
_PARAMETERS = frozenset({"ticket", "types", "instances", "after"})
LATEST = "latest"


class Handshake(NamedTuple):
    """``after`` is the cursor to go on from, None for the end of the log."""

    actor: Actor
    interest: Interest
    after: str | None


def examine(scope: dict[str, Any]) -> Handshake:
    """What a handshake asks for; a ticket is used up.

    Raises Problem, ValidationError for wrong filters, django.db.Error, and redis.RedisError for a ticket.
    """
    headers = _headers(scope)
    address = client_address((scope.get("client") or ("",))[0] or "", headers.get("x-forwarded-for", ""))
    _check_origin(headers)
    query = _query(scope)
    actor = authenticate(
        authorization=headers.get("authorization"),
        api_key=headers.get("x-api-key"),
        organization=headers.get("x-organization"),
        address=address,
    )
    if actor is None:
        ticket = query.get("ticket", [""])[-1]
        if not ticket:
            raise Problem("not_authenticated")
        actor = tickets.redeem(ticket, address)
    check_may(actor, Scope.READ)
    given: dict[str, Any] = {
        name: ",".join(texts).split(",") for name, texts in query.items() if name in ("types", "instances")
    }
    subscription = subscription_of(actor, given) if given else Subscription()
    after = query.get("after", [LATEST])[-1]
    if after != LATEST:
        cursors.decode(after)
    return Handshake(actor, Interest.of(actor, subscription), None if after == LATEST else after)


def _headers(scope: dict[str, Any]) -> dict[str, str]:
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    names = [name for name, _ in headers]
    if any(names.count(name) > 1 for name in _ONCE):
        raise Problem("invalid_credentials", "Send one credential, not two.")
    return dict(headers)


def _query(scope: dict[str, Any]) -> dict[str, list[str]]:
    try:
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise Problem("invalid_request", "The address has too many parameters.") from error
    if unknown := query.keys() - _PARAMETERS:
        raise Problem("unknown_parameter", f"Not known here: {', '.join(sorted(unknown))}.")
    return query


def _check_origin(headers: dict[str, str]) -> None:
    """Refuse the pages of others. Programs send no ``Origin``, browsers always do."""
    origin = headers.get("origin")
    if origin is None or origin in settings.CORS_ALLOWED_ORIGINS or origin == _origin_of(settings.PUBLIC_URL):
        return
    host = headers.get("host", "")
    own = validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
    if not own or origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
        raise Problem("origin_not_allowed", "Pages of this origin may not open sockets here; see CORS_ALLOWED_ORIGINS.")


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()

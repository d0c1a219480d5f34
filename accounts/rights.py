"""Whether thousands of callers still have the rights they had: two lean queries, for who has to ask all the time.

By hand and without the ORM's conversions: those would cost more than the database's work.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from accounts.actor import Actor
from accounts.models import ApiKey, Organization, Session

_SESSIONS = """
SELECT s.id, m.organization_id, m.role
FROM accounts_session s
JOIN accounts_user u ON u.id = s.user_id AND u.is_active
JOIN accounts_membership m ON m.user_id = s.user_id
WHERE s.revoked_at IS NULL AND s.expires_at > %s AND s.id {}
"""
_KEYS = """
SELECT k.id, k.mode, k.scopes, k.instances
FROM accounts_apikey k
WHERE NOT k.revoked AND (k.expiry_date IS NULL OR k.expiry_date > %s) AND k.id {}
"""


class Place(NamedTuple):
    """Where the rights of an actor stand, as the database knows it: a session in an organization, or a key."""

    credential: Any
    organization: Any


def place_of(actor: Actor) -> Place:
    """To be asked once per actor."""
    model: Any = ApiKey if actor.kind == "key" else Session
    credential = model._meta.pk.get_db_prep_value(actor.id if actor.kind == "key" else actor.session_id, connection)
    if actor.kind == "key":
        return Place(credential, None)
    organization: Any = Organization._meta.pk
    return Place(credential, organization.get_db_prep_value(actor.organization_id, connection))


def rights_at(places: Collection[Place]) -> dict[Place, Sequence[Any]]:
    """What stands at the places that still have any rights; equal values mean equal rights. Two queries."""
    found: dict[Place, Sequence[Any]] = {}
    for credential, organization, *rights in _read(_SESSIONS, [p.credential for p in places if p.organization]):
        found[Place(credential, organization)] = rights
    for credential, *rights in _read(_KEYS, [p.credential for p in places if not p.organization]):
        found[Place(credential, None)] = rights
    return found


def _read(query: str, credentials: list[Any]) -> list[Any]:
    if not credentials:
        return []
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(query.format("= ANY(%s)"), [now, credentials])
        else:
            cursor.execute(query.format("IN (SELECT value FROM json_each(%s))"), [now, json.dumps(credentials)])
        return cursor.fetchall()

"""Who somebody is now: sessions and keys as actors, one query for any number of them."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q
from django.utils import timezone

from accounts.actor import Actor
from accounts.models import ANYBODY, KEY_SCOPES, ROLE_SCOPES, ApiKey, Membership, Role, Session, User

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


class KeyHolder(NamedTuple):
    """What a usable key stands for; ``networks`` are the only ones it may be used from, None for all."""

    actor: Actor
    networks: Networks | None
    expires_at: datetime | None

    def admits(self, address: str) -> bool:
        """True if the key may be used from this client address."""
        if self.networks is None:
            return True
        try:
            client = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(client in network for network in self.networks)


def key_holder(key: ApiKey) -> KeyHolder:
    """For a row that was read with its organization."""
    actor = Actor(
        organization_id=key.organization_id,
        kind="key",
        id=key.id,
        scopes=frozenset(key.scopes) & KEY_SCOPES,
        mode=key.mode,
        instances=None if key.instances is None else frozenset(key.instances),
        name=key.name,
        suspended=key.organization.suspended_reason,
    )
    networks = None if key.allowed_ips is None else tuple(map(ipaddress.ip_network, key.allowed_ips))
    return KeyHolder(actor, networks, key.expiry_date)


def holders_of_keys(key_ids: Iterable[str]) -> dict[str, KeyHolder]:
    """Those of the keys that are neither revoked nor expired, in one query."""
    usable = ApiKey.objects.get_usable_keys().filter(Q(expiry_date=None) | Q(expiry_date__gt=timezone.now()))
    rows = usable.filter(pk__in=list(key_ids)).select_related("organization")
    return {row.id: key_holder(row) for row in rows}


def actors_of_sessions(session_ids: Iterable[str]) -> dict[str, tuple[Actor, ...]]:
    """The live ones of the sessions, in one query: the person as a member of each organization, first joined first.

    A person who belongs to none is one actor without an organization.
    """
    rows = (
        Session.objects.live()
        .filter(pk__in=list(session_ids))
        .order_by("user__memberships__id")
        .values_list(
            "id",
            "user_id",
            "user__email",
            "user__memberships__organization_id",
            "user__memberships__role",
            "user__memberships__organization__suspended_reason",
        )
    )
    found: dict[str, list[Actor]] = defaultdict(list)
    for session_id, user_id, email, organization_id, role, suspended in rows:
        found[session_id].append(
            Actor(
                organization_id=organization_id or "",
                kind="user",
                id=user_id,
                scopes=ROLE_SCOPES[role] if role else ANYBODY,
                role=role,
                session_id=session_id,
                name=email,
                suspended=suspended,
            )
        )
    return {session_id: tuple(actors) for session_id, actors in found.items()}


def home_of(user_id: str) -> str | None:
    """The organization whose audit log tells of a person's logins: the one they joined first."""
    own = Membership.objects.filter(user_id=user_id).order_by("id")
    return own.values_list("organization_id", flat=True).first()


def current(actors: Iterable[Actor]) -> dict[Actor, Actor]:
    """The actors that still exist, each with what it is now; two queries, however many they are."""
    actors = set(actors)
    sessions = actors_of_sessions({a.session_id for a in actors if a.session_id})
    keys = holders_of_keys({a.id for a in actors if a.kind == "key"})
    now = {}
    for actor in actors:
        if actor.kind == "key":
            found = keys[actor.id].actor if actor.id in keys else None
        else:
            memberships = sessions.get(actor.session_id or "", ())
            found = next((a for a in memberships if a.organization_id == actor.organization_id), None)
        if found is not None:
            now[actor] = found
    return now


def admitted(actor: Actor, address: str) -> bool:
    """False for a key that is gone or may not be used from the client address."""
    if actor.kind != "key":
        return True
    holder = holders_of_keys([actor.id]).get(actor.id)
    return holder is not None and holder.admits(address)


def managers(organization_id: str) -> list[str]:
    """The e-mail addresses of the owners and admins of an organization, sorted."""
    people = User.objects.filter(
        is_active=True, memberships__organization_id=organization_id, memberships__role__in=(Role.OWNER, Role.ADMIN)
    )
    return sorted(people.values_list("email", flat=True))

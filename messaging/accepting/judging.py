"""Judges what a request asks to send, message by message: what may be accepted, and why the rest may not."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

from accounts.actor import Actor
from config.api.problems import Problem
from instances import settings
from instances.access import admitted
from instances.models import Instance
from instances.whatsapp.jids import LID
from media.selectors import ready
from messaging.accepting.addressing import check_can_send, instances
from messaging.accepting.files import shown
from messaging.accepting.links import awaits_preview
from messaging.accepting.orders import Order, Outgoing
from messaging.accepting.referring import References
from messaging.finding.searchable import text_of
from messaging.models import SECRET_BYTES, Message
from messaging.selectors import message_data
from messaging.states import Direction, Status


@dataclass(slots=True)
class Candidate:
    """A message that is accepted if the quota has room for it; else it gets a ``refusal``.

    An album comes with its items: all of it finds room, or nothing of it.
    """

    instance: Instance
    message: Message
    data: dict[str, Any]
    unready: tuple[str, str] | None = None  # id of the file that is not ready yet, and what for
    items: tuple[Candidate, ...] = ()
    refusal: Problem | None = None

    @property
    def meter(self) -> tuple[str, str]:
        return self.instance.organization_id, self.instance.network

    @property
    def ref(self) -> tuple[str, str] | None:
        """What no other message may have."""
        return (self.instance.id, self.message.unique_ref) if self.message.unique_ref else None

    @property
    def messages(self) -> list[Message]:
        return [self.message, *(item.message for item in self.items)]


def judged(orders: list[Order], now: datetime) -> list[list[Candidate | Problem]]:
    """What becomes of each order's messages as far as their instances go."""
    bench = _Bench(orders, now)
    found = [[bench.judge(order.actor, one) for one in order.outgoing] for order in orders]
    if any(isinstance(one, Candidate) and one.message.unique_ref for row in found for one in row):
        _refuse_taken(found)
    return found


class _Bench:
    """What judging a group's messages needs, looked up once for all of them."""

    def __init__(self, orders: list[Order], now: datetime) -> None:
        self._now = now
        self._instances = instances(one.instance_id for one in _outgoing(orders))
        self._references = References(_outgoing(orders), self._instances)
        every = [part for one in _outgoing(orders) for part in (one, *one.items)]
        files = {(one.media.id, one.media.kind) for one in every if one.media is not None and one.media.id}
        self._ready = ready(files) if files else {}
        self._randomness = BytesIO(secrets.token_bytes(SECRET_BYTES * len(every)))

    def judge(self, actor: Actor, one: Outgoing | Problem) -> Candidate | Problem:
        if isinstance(one, Problem):
            return one
        try:
            instance = admitted(actor, self._instances.get(one.instance_id))
            check_can_send(instance)
            one = self._references.resolve(one, instance, self._now)
        except Problem as problem:
            return problem
        album = self._candidate(one, instance)
        if one.items:
            album.items = tuple(self._candidate(item, instance, album) for item in one.items)
            listed = [{"message_id": item.message.id, "type": item.message.type} for item in album.items]
            album.message.content = {"items": listed}
            album.data = message_data(album.message, instance)
        return album

    def _candidate(self, one: Outgoing, instance: Instance, album: Candidate | None = None) -> Candidate:
        message = _message(one, instance, self._now, self._randomness.read(SECRET_BYTES))
        if album is not None:
            message.attributes["album"] = album.message.id
        unready = None
        if one.media is not None:
            file = one.media.id or "", one.media.kind
            if described := self._ready.get(file):
                message.content = shown(message.content, described)
            else:
                message.content |= {"status": "preparing"}
                unready = file
        if one.send_at is not None:
            message.status = Status.SCHEDULED.value
        elif unready is not None or awaits_preview(message):
            message.status = Status.PREPARING.value
        return Candidate(instance, message, message_data(message, instance), unready)


def _refuse_taken(judged: list[list[Candidate | Problem]]) -> None:
    """Put a problem in the place of each message whose unique reference has another one, in the ledger or before it."""
    asked = {one.ref for row in judged for one in row if isinstance(one, Candidate) and one.ref}
    instance_ids, refs = {instance_id for instance_id, _ in asked}, {ref for _, ref in asked}
    found = Message.objects.filter(instance_id__in=instance_ids, unique_ref__in=refs)
    taken = {(row.instance_id, str(row.unique_ref)): row.id for row in found.only("instance_id", "unique_ref", "id")}
    for order in judged:
        for place, one in enumerate(order):
            if not isinstance(one, Candidate) or one.ref is None:
                continue
            if (other := taken.setdefault(one.ref, one.message.id)) != one.message.id:
                detail = f"The message {other} has this client_ref."
                order[place] = Problem("client_ref_taken", detail, message_id=other)


def _outgoing(group: list[Order]) -> Iterator[Outgoing]:
    return (one for order in group for one in order.outgoing if isinstance(one, Outgoing))


def _message(one: Outgoing, instance: Instance, now: datetime, secret: bytes) -> Message:
    return Message(
        organization_id=instance.organization_id,
        instance=instance,
        direction=Direction.OUTBOUND.value,
        status=Status.QUEUED.value,
        type=one.type,
        content=one.content if one.media is None else {"id": one.media.id, **one.content},
        attributes=dict(one.attributes),
        media_id=one.media.id if one.media is not None else None,
        text=text_of(one.type, one.content),
        chat=str(one.to),
        chat_lid=str(one.to) if one.to.server == LID else None,
        origin=one.origin,
        client_ref=one.client_ref,
        unique_ref=one.client_ref if _must_be_unique(one, instance) else None,
        secret=secret,
        send_at=one.send_at,
        created_at=now,
    )


def _must_be_unique(one: Outgoing, instance: Instance) -> bool:
    if one.unique_ref is None:
        return bool(instance.settings) and settings.of(instance).client_ref_unique
    return one.unique_ref

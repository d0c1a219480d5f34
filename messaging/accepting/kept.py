"""Idempotency keys of sends: looked up and kept in the transaction that accepts the messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from django.db import IntegrityError
from django.db.models import Q

from config.api.idempotency import answer_in, done, is_expired
from config.api.problems import Problem
from config.models import IdempotencyKey
from messaging.accepting.orders import Order


class Raced(Exception):
    """Another process was faster with one of the keys or references just now: look again."""


def without_replays(orders: Sequence[Order]) -> list[Order]:
    """Those that were not answered before; the others get their first answer, or the problem of their key."""
    claims = [order.claim for order in orders if order.claim is not None]
    if not claims:
        return list(orders)
    asked = reduce(or_, (Q(scope=claim.scope, key=claim.key) for claim in claims))
    rows = {(row.scope, row.key): row for row in IdempotencyKey.objects.filter(asked)}
    if expired := [row.pk for row in rows.values() if is_expired(row)]:
        IdempotencyKey.objects.filter(pk__in=expired).delete()
    fresh = []
    for order in orders:
        row = rows.get(order.claim[:2]) if order.claim else None
        if order.claim is None or row is None or row.pk in expired:
            fresh.append(order)
            continue
        try:
            order.answer, order.replayed = answer_in(row, order.claim), True
        except Problem as problem:
            order.error = problem
    return fresh


def keep(orders: Iterable[Order]) -> None:
    """Keep the answers of orders with a key. Raises Raced."""
    rows = [done(order.claim, order.answer) for order in orders if order.claim is not None and order.answer is not None]
    rows.sort(key=lambda row: (row.scope, row.key))  # so that no two groups can deadlock
    try:
        IdempotencyKey.objects.bulk_create(rows)
    except IntegrityError as error:
        raise Raced from error

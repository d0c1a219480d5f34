"""Proof that nobody changed the audit log behind the product's back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from audit import triggers
from audit.hashing import digest
from audit.models import NO_HASH, PLATFORM, Chain, Entry

_CHUNK = 1000


class Head(NamedTuple):
    """The last entry of a chain; a copy kept elsewhere proves later that nothing up to it has changed."""

    chain: str
    sequence: int
    hash: str


class Report(NamedTuple):
    """The heads as found, how many entries were read, and what is wrong, in words; all is well without damage."""

    heads: list[Head]
    entries: int
    damage: list[str]


def verify(organization_id: str | None = None, anchors: Iterable[Head] = ()) -> Report:
    """Walk all chains, or that of one organization: sequences, links, hashes, heads, and heads kept earlier.

    Each chain is read in steps, whatever its length, up to the head it had at the beginning: the product may go on
    writing meanwhile.
    """
    kept = {(anchor.chain, anchor.sequence): anchor.hash for anchor in anchors}
    heads = _heads(organization_id)
    damage = [] if organization_id else [*_unprotected(), *_without_head(heads)]
    entries = 0
    for head in heads:
        wanted = {sequence: hash_ for (chain, sequence), hash_ in kept.items() if chain == head.chain}
        read, found = _walk(head, wanted)
        entries += read
        damage += [f"{head.chain}: {one}" for one in found]
    known = {head.chain for head in heads}
    gone = sorted({chain for chain, _ in kept} - known) if organization_id is None else []
    damage += [f"{chain}: the whole chain is gone" for chain in gone]
    return Report(heads, entries, damage)


def _heads(organization_id: str | None) -> list[Head]:
    rows = Chain.objects.order_by("name")
    if organization_id:
        rows = rows.filter(name=organization_id)
    return [Head(*row) for row in rows.values_list("name", "sequence", "hash")]


def _unprotected() -> list[str]:
    with transaction.atomic():
        missing = triggers.missing(connection)
    return [f"{missing} of the triggers that refuse changes are missing or off"] if missing else []


def _without_head(heads: list[Head]) -> Iterator[str]:
    """Chains that have entries and no head: no product ever wrote such a thing."""
    known = {head.chain for head in heads}
    for organization_id in Entry.objects.order_by().values_list("organization_id", flat=True).distinct():
        if (chain := organization_id or PLATFORM) not in known and not Chain.objects.filter(pk=chain).exists():
            yield f"{chain}: the head is missing"


def _walk(head: Head, anchors: Mapping[int, str]) -> tuple[int, list[str]]:
    """How many entries were read, and what is wrong with them."""
    damage: list[str] = []
    previous, sequence, read = NO_HASH, 0, 0
    for entry in _entries(head):
        read += 1
        if entry.sequence != sequence + 1:
            damage.append(f"entries {sequence + 1} to {entry.sequence - 1} are missing")
        if entry.previous != previous:
            damage.append(f"entry {entry.sequence} ({entry.id}) does not follow the one before it")
        if entry.hash != digest(entry):
            damage.append(f"entry {entry.sequence} ({entry.id}) was changed")
        if anchors.get(entry.sequence, entry.hash) != entry.hash:
            damage.append(f"entry {entry.sequence} ({entry.id}) is not the one that was anchored")
        previous, sequence = entry.hash, entry.sequence
    if sequence < head.sequence:
        damage.append(f"entries {sequence + 1} to {head.sequence} are missing at the end")
    elif previous != head.hash:
        damage.append(f"the head does not fit entry {sequence}")
    if beyond := _beyond(head.chain):
        damage.append(f"{beyond} entries stand after the head")
    damage += [f"anchored entry {one} is missing" for one in sorted(anchors) if one > sequence]
    return read, damage


def _entries(head: Head) -> Iterator[Entry]:
    """The entries of a chain in order, up to its head."""
    after = -(2**63)
    while chunk := list(_rows(head.chain).filter(sequence__gt=after, sequence__lte=head.sequence)[:_CHUNK]):
        yield from chunk
        after = chunk[-1].sequence


def _beyond(chain: str) -> int:
    """How many entries stand after the head. It is read last: the product moves it together with an entry."""
    last = _rows(chain).values_list("sequence", flat=True).last() or 0
    head = Chain.objects.filter(pk=chain).values_list("sequence", flat=True).first() or 0
    return max(0, last - head)


def _rows(chain: str) -> QuerySet[Entry]:
    return Entry.objects.filter(organization_id=None if chain == PLATFORM else chain).order_by("sequence")

"""What became of every message: counted from both ends, and held against what is promised."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# What a killed worker may lose: confirmed by the client library, not yet on disk (docs/decisions/0014-journal.md).
WINDOW = 50
FAILED, DOUBTFUL = "failed", "unconfirmed"


class Sent(NamedTuple):
    """A message that one side has taken: ``text`` is unique, ``place`` counts those of its chat in their order."""

    chat: str
    place: int
    text: str


@dataclass
class Direction:
    """One direction, counted."""

    accepted: int
    arrived: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)  # nobody can know, and it has not arrived
    unsettled: list[str] = field(default_factory=list)  # has arrived, and is called doubtful still


def reckon(
    sent: Sequence[Sent],
    arrived: Sequence[str],
    statuses: Mapping[str, str] | None = None,
    doubted: Collection[str] = (),
) -> Direction:
    """Compare what was ``sent`` with the texts that ``arrived``, in the order of their arrival.

    ``statuses`` are what the sender is told of each text; without them (inbound) whatever is missing is lost.
    What was ``doubted`` once may come late: nobody knew where it was when later ones were sent.
    """
    times, known = Counter(arrived), statuses or {}
    missing = [one.text for one in sent if not times[one.text]]
    found = Direction(len(sent), sum(1 for one in sent if times[one.text]))
    found.doubled = [text for text, count in times.items() if count > 1]
    found.failed = [text for text in missing if known.get(text) == FAILED]
    found.doubtful = [text for text in missing if known.get(text) == DOUBTFUL]
    found.lost = [text for text in missing if known.get(text) not in (FAILED, DOUBTFUL)]
    found.unsettled = [one.text for one in sent if times[one.text] and known.get(one.text) == DOUBTFUL]
    found.reordered = [text for text in _overtaken(sent, arrived) if text not in doubted]
    return found


def _overtaken(sent: Iterable[Sent], arrived: Iterable[str]) -> list[str]:
    """Texts that came, for the first time, after a later one of their chat."""
    known = {one.text: one for one in sent}
    latest: dict[str, int] = defaultdict(lambda: -1)
    overtaken = []
    for text in dict.fromkeys(arrived):
        if one := known.get(text):
            if one.place < latest[one.chat]:
                overtaken.append(text)
            latest[one.chat] = max(one.place, latest[one.chat])
    return overtaken


class Freeze(NamedTuple):
    """A worker was stopped from one Unix time to another: its connections stay open, and it cannot know."""

    since: float
    until: float


def held_twice(connections: Iterable[Mapping[str, Any]], freezes: Sequence[Freeze], slack: float = 5.0) -> int:
    """How many logins ended an older one of the same number whose holder was not frozen: two held it at once."""
    ends = [one["until"] for one in connections if one["replaced"] and one["until"] is not None]
    return sum(not any(freeze.since <= end <= freeze.until + slack for freeze in freezes) for end in ends)


def broken(out: Direction, inbound: Direction, twice: int, hard_kills: int) -> list[str]:
    """The promises that were not kept, in words."""
    promises = {
        "outbound messages lost": out.lost,
        "outbound messages doubled": out.doubled,
        "outbound messages out of order": out.reordered,
        "outbound messages failed": out.failed,
        "inbound messages doubled": inbound.doubled,
    }
    found = [f"{len(texts)} {what}: {', '.join(texts[:10])}" for what, texts in promises.items() if texts]
    if twice:
        found.append(f"{twice} times two workers held a number at once")
    gone = len(inbound.lost) + len(out.unsettled)  # what settles a doubt is a receipt, and comes in like a message
    if gone > WINDOW * hard_kills:
        found.append(f"{gone} inbound messages and receipts lost, more than {hard_kills} hard kills explain")
    return found

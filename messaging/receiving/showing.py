"""What others did to messages, as clients see it: in short for lists, in full for one message."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.models import Count

from config.timestamps import iso
from instances.whatsapp.raw import raw_json
from messaging.models import MemberReceipt, Message, PollVote, RawMessage, Reaction
from messaging.receiving.models import ByPerson
from messaging.selectors import message_data, person
from messaging.states import Direction


def with_extras(rows: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages with what became of them in short; at most three queries, however many they are.

    ``reactions`` [{emoji, count}], of polls ``poll_results`` [{option, votes}], of what we sent to many
    ``receipt_counts`` {delivered, read, played}: each only where there is something.
    """
    reactions, votes, counts = _reactions(rows), _votes(rows), _receipt_counts(rows)
    shown = []
    for row in rows:
        data = message_data(row, row.instance)
        if found := reactions.get(row.pk):
            data["reactions"] = [{"emoji": emoji, "count": count} for emoji, count in found.most_common()]
        if (chosen := votes.get(row.pk)) and not row.revoked_at:
            data["poll_results"] = _poll_results(row, chosen)
        if receipts := counts.get(row.pk):
            data["receipt_counts"] = receipts
        shown.append(data)
    return shown


def in_full(row: Message, *, raw: bool = False) -> dict[str, Any]:
    """One message with everything: who reacted, voted, got it and read it, and what it said before edits.

    With ``raw`` also the protobuf as JSON; null where none was kept.
    """
    (data,) = with_extras([row])
    data["reacted"] = [_by(one) | {"emoji": one.emoji} for one in row.reactions.exclude(emoji="").order_by("at", "pk")]
    votes = [] if row.revoked_at else [one for one in row.votes.order_by("at", "pk") if one.options]
    data["votes"] = [_by(one) | {"options": one.options} for one in votes]
    if votes:  # counted from the same rows: one may have come since
        data["poll_results"] = _poll_results(row, Counter(option for one in votes for option in one.options))
    data["receipts"] = [
        {
            "member": person(one.phone, one.lid),
            "delivered_at": iso(one.delivered_at),
            "read_at": iso(one.read_at),
            "played_at": iso(one.played_at),
        }
        for one in row.member_receipts.order_by("pk")
    ]
    revisions = [] if row.revoked_at else list(row.revisions.order_by("at", "pk"))
    data["revisions"] = [{row.type: one.content, "until": iso(one.at)} for one in revisions]
    if raw:
        data["raw"] = _raw(row)
    return data


def _poll_results(row: Message, chosen: Counter[str]) -> list[dict[str, Any]]:
    return [{"option": option, "votes": chosen[option]} for option in row.content["options"]]


def _by(one: ByPerson) -> dict[str, Any]:
    who = person(one.phone, one.lid, one.name) if one.phone or one.lid else None
    return {"from": who, "at": iso(one.at)}


def _raw(row: Message) -> dict[str, Any] | None:
    kept = None if row.revoked_at else RawMessage.objects.filter(message=row).first()
    return raw_json(zlib.decompress(bytes(kept.data))) if kept else None


def _reactions(rows: Sequence[Message]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    kept = Reaction.objects.filter(message_id__in=[row.pk for row in rows]).exclude(emoji="")
    for message_id, emoji, count in kept.values_list("message_id", "emoji").annotate(n=Count("pk")):
        found[message_id][emoji] = count
    return found


def _votes(rows: Sequence[Message]) -> dict[str, Counter[str]]:
    polls = [row.pk for row in rows if row.type == "poll"]
    found: dict[str, Counter[str]] = defaultdict(Counter)
    if polls:
        for message_id, options in PollVote.objects.filter(message_id__in=polls).values_list("message_id", "options"):
            found[message_id].update(options)
    return found


def _receipt_counts(rows: Sequence[Message]) -> dict[str, dict[str, int]]:
    to_many = ("@g.us", "@broadcast")
    sent = [row.pk for row in rows if row.direction == Direction.OUTBOUND and row.chat.endswith(to_many)]
    if not sent:
        return {}
    names = ("delivered", "read", "played")
    found = MemberReceipt.objects.filter(message_id__in=sent).values_list("message_id")
    counted = found.annotate(*(Count(f"{name}_at") for name in names))
    return {message_id: dict(zip(names, counts, strict=True)) for message_id, *counts in counted}

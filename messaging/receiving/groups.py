"""What is known of groups: how many members must have got a message, and who may delete those of others.

Nothing is asked of WhatsApp before it is needed. A group that is asked for is a row without ``checked_at``; a task
asks the worker that holds the number (messaging.tasks.learn_groups) and settles what waited for the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from django.db import transaction
from django.utils import timezone

from config.api.problems import Problem
from instances import commands, wakeup
from instances.models import Instance
from instances.whatsapp.jids import GROUP, parse
from messaging.models import Group

if TYPE_CHECKING:
    from instances.holding.attachments import Held

log = structlog.get_logger(__name__)
FRESH = timedelta(hours=1)
_AT_ONCE, _MOST_ATTEMPTS = 20, 20
_SECONDS = 20.0


def is_group(chat: str) -> bool:
    return chat.endswith(f"@{GROUP}")


def sizes(chats: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int | None]:
    """How many members the groups (instance, JID) have; None for one that is not known yet.

    Those that are not known, or have not been asked for long, are asked for.
    """
    asked = {(instance_id, jid) for instance_id, jid in chats if is_group(jid)}
    if not asked:
        return {}
    rows = Group.objects.filter(instance_id__in={i for i, _ in asked}, jid__in={jid for _, jid in asked})
    found = {(row.instance_id, row.jid): row for row in rows.defer("members")}
    stale = timezone.now() - FRESH
    ask(chat for chat in asked if chat not in found or (found[chat].checked_at or stale) < stale)
    return {chat: found[chat].size if chat in found else None for chat in asked}


def ask(chats: Iterable[tuple[str, str]]) -> None:
    """Have the members of groups (instance, JID) looked up, again if they are known."""
    rows = [Group(instance_id=instance_id, jid=jid) for instance_id, jid in sorted(chats)]
    if not rows:
        return
    Group.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["instance", "jid"],
        update_fields=["checked_at", "attempts"],
    )
    transaction.on_commit(partial(_wake, [row.instance_id for row in rows]), robust=True)


def _wake(instance_ids: list[str]) -> None:
    for instance_id in set(instance_ids):
        wakeup.task("messaging.tasks.learn_groups", instance_id)


def may_delete(instance_id: str, jid: str, phone: str | None, lid: str | None) -> bool | None:
    """Whether somebody is an admin of a group; None while that is not known, and it is asked for then."""
    found = Group.objects.filter(instance_id=instance_id, jid=jid, checked_at__gt=timezone.now() - FRESH).values_list(
        "members", flat=True
    )
    for members in found:
        return any(one["admin"] and _is(one, phone, lid) for one in members)
    ask([(instance_id, jid)])
    return None


def _is(member: dict[str, Any], phone: str | None, lid: str | None) -> bool:
    return bool((phone and member["phone"] == phone) or (lid and member["lid"] == lid))


def look_up(held: Held, arguments: dict[str, Any]) -> dict[str, Any]:
    """The live command ``group``: {jid} to {name, members: [{phone, lid, admin}]}."""
    info = held.group(parse(arguments["jid"]))
    members = [{"phone": one.phone, "lid": one.lid, "admin": admin} for one, admin in info.members]
    return {"name": info.name, "members": members}


def learn(instance: Instance) -> list[str]:
    """Ask for the groups of an instance that are to be asked for; returns the JIDs of those that are known now.

    One that cannot be read is tried again by the sweep, at most _MOST_ATTEMPTS times.
    """
    waiting = Group.objects.filter(instance=instance, checked_at=None, attempts__lt=_MOST_ATTEMPTS).order_by("attempts")
    learned = []
    for group in waiting[:_AT_ONCE]:
        try:
            found = commands.call(instance, "group", {"jid": group.jid}, seconds=_SECONDS)
        except Problem as problem:
            log.info("group_not_learned", group=group.jid, code=problem.code)
            if problem.code == "engine_failed":
                Group.objects.filter(pk=group.pk).update(attempts=group.attempts + 1)
                continue
            break
        Group.objects.filter(pk=group.pk).update(
            name=found["name"], members=found["members"], size=len(found["members"]), checked_at=timezone.now()
        )
        learned.append(group.jid)
    return learned


def with_questions() -> list[str]:
    """The instances that have groups to be asked for."""
    rows = Group.objects.filter(checked_at=None, attempts__lt=_MOST_ATTEMPTS, instance__state="connected")
    return list(rows.order_by().values_list("instance_id", flat=True).distinct())

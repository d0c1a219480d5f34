"""Settles what waited for the members of a group to be known."""

from __future__ import annotations

from django.db import transaction

from instances.models import Instance
from messaging.models import MemberReceipt, Message
from messaging.progress import Progress
from messaging.receiving import changes, groups
from messaging.receiving.receipts import complete
from messaging.states import Status
from webhooks import events

_NEWEST = 500


def learn_groups(instance_id: str) -> None:
    """Ask for the groups of an instance that are not known, then settle their messages and deletions."""
    instance = Instance.objects.get(pk=instance_id)
    for jid in groups.learn(instance):
        settle(instance, jid)


@transaction.atomic
def settle(instance: Instance, jid: str) -> None:
    """Settle what waited for one group. Locks the instance as the writer does, so that they never meet at a message."""
    instance = Instance.objects.select_for_update(no_key=True).get(pk=instance.pk)
    progress = Progress()
    begun = MemberReceipt.objects.filter(message__instance=instance, message__chat=jid).values("message_id")
    rows = Message.objects.filter(
        pk__in=begun, status__in=[Status.UNCONFIRMED, Status.SENT, Status.DELIVERED, Status.READ]
    )
    drafts = complete([(row, instance) for row in rows.order_by("-id")[:_NEWEST]], progress)
    progress.save()
    events.append([*drafts, *changes.settle_admins(instance, jid)])

from __future__ import annotations

from typing import Any

from django.db import transaction

from accounts.actor import Actor
from config.api.problems import Problem
from instances import access as instance_access
from instances import wakeup
from instances.models import Instance
from instances.services import draft
from instances.states import ENDED, Wanted
from instances.whatsapp.jids import LID, Jid
from messaging.models import Message
from messaging.selectors import message_data
from messaging.states import Direction, Status
from webhooks import events


def check_can_send(instance: Instance) -> None:
    """Raises Problem ``instance_not_linked``, ``instance_stopped`` or ``instance_unavailable``.

    An instance that is merely reconnecting may send: its messages wait in the lane.
    """
    if not instance.linked:
        raise Problem("instance_not_linked", "Link it first: connect, then scan the QR code.")
    if instance.wanted == Wanted.STOPPED:
        raise Problem("instance_stopped", "Call connect first.")
    if instance.state in ENDED:
        raise Problem("instance_unavailable", f"The instance is {instance.state}.", state=instance.state)


def accept(
    *, actor: Actor, instance_id: str, to: Jid, type_: str, content: dict[str, Any], client_ref: str | None
) -> Message:
    """Commit a message to the ledger and wake its lane; from then on it is not lost.

    Raises Problem as the instance's door and `check_can_send` do.
    """
    instance = instance_access.instance(actor, instance_id)
    check_can_send(instance)
    message = Message(
        organization_id=instance.organization_id,
        instance=instance,
        direction=Direction.OUTBOUND,
        status=Status.QUEUED,
        type=type_,
        content=content,
        chat=str(to),
        chat_lid=str(to) if to.server == LID else None,
        client_ref=client_ref,
    )
    queue = instance.holder.queue if instance.holder else None
    with transaction.atomic():
        message.save(force_insert=True)
        events.append([draft(instance, "message.queued", message_data(message, instance))])
        transaction.on_commit(lambda: wakeup.lane(instance.id, queue))
    return message

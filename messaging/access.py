"""The only way to a tenant's messages and chats. A foreign or broken id is the same 404 as a missing one."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.actor import Actor
from config.api.problems import Problem
from instances.access import check_id
from instances.models import Instance
from messaging.models import Call, Chat, Erasure, Message


def messages(actor: Actor) -> QuerySet[Message]:
    """The messages the caller sees: of its organization, for a key of its mode and the instances it is limited to.

    Not those of an instance that was deleted, from that moment on.
    """
    mine = Message.objects.filter(organization_id=actor.organization_id, instance__deleted_at=None)
    query = mine.select_related("instance")
    if actor.instances is not None:
        query = query.filter(instance_id__in=actor.instances)
    return query if actor.mode is None else query.filter(instance__network__in=actor.networks)


def message(actor: Actor, message_id: str) -> Message:
    """Raises Problem ``not_found``."""
    found = messages(actor).filter(pk=check_id(message_id, "msg")).first()
    if found is None:
        raise Problem("not_found")
    return found


def chats(actor: Actor) -> QuerySet[Chat]:
    """The chats of the instances that the caller sees."""
    mine = Chat.objects.filter(organization_id=actor.organization_id, instance__deleted_at=None)
    query = mine.select_related("instance")
    if actor.instances is not None:
        query = query.filter(instance_id__in=actor.instances)
    return query if actor.mode is None else query.filter(instance__network__in=actor.networks)


def chat(actor: Actor, chat_id: str) -> Chat:
    """Raises Problem ``not_found``."""
    found = chats(actor).filter(pk=check_id(chat_id, "cht")).first()
    if found is None:
        raise Problem("not_found")
    return found


def call(instance: Instance, call_id: str) -> Call:
    """A call of an instance that the caller may touch. Raises Problem ``not_found``."""
    found = Call.objects.select_related("instance").filter(instance=instance, pk=check_id(call_id, "cal")).first()
    if found is None:
        raise Problem("not_found")
    return found


def erasure(actor: Actor, erasure_id: str) -> Erasure:
    """Raises Problem ``not_found``."""
    mine = Erasure.objects.filter(organization_id=actor.organization_id, instance__network__in=actor.networks)
    found = mine.filter(instance__deleted_at=None, pk=check_id(erasure_id, "ers")).first()
    if found is None or not actor.reaches(found.instance_id):
        raise Problem("not_found")
    return found

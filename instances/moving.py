"""Moves the keys of an instance from one kind of store to the other, while it is stopped.

    copied, all or nothing  ->  the instance's row says where they are now  ->  the old ones are deleted

A session worker opens only the store that the row names, so wherever this is killed there is one that may be opened.
What is left in the other is deleted when the move is run again, and before anything is copied there.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models.functions import Now

from instances import keystores
from instances.models import Instance, KeyStore
from instances.services import record_act
from instances.states import Wanted
from instances.whatsapp import copying


class NotMovable(Exception):
    """The keys stay where they are; the text says why, and what to do."""


@dataclass(frozen=True)
class Moved:
    """``rows`` is None for keys that were there already."""

    instance_id: str
    rows: int | None


def movable(network: str | None = None) -> list[str]:
    """The instances that have keys, oldest first."""
    linked = Instance.objects.present().filter(device_jid__isnull=False)
    return list((linked.filter(network=network) if network else linked).order_by("pk").values_list("pk", flat=True))


def move(*, instance_id: str, to: str) -> Moved:
    """Idempotent. The instance's row is locked meanwhile, so connecting it waits. Raises NotMovable, StoreFailed."""
    with transaction.atomic():
        instance = Instance.objects.select_for_update(no_key=True).filter(pk=instance_id).first()
        if instance is None:
            raise NotMovable("There is no such instance.")
        _check(instance)
        rows = None
        if instance.key_store != to:
            source, target = keystores.store_of(instance), keystores.store_in(to, instance)
            rows = copying.copy(source, target, str(instance.device_jid))
            record_act(instance, "keys_moved", key_store=[instance.key_store, to])
            instance.key_store = to
            instance.save(update_fields=["key_store"])
    _forget(instance)
    return Moved(instance_id, rows)


def _check(instance: Instance) -> None:
    held = Instance.objects.filter(pk=instance.pk, holder__isnull=False, lease_until__gt=Now()).exists()
    if instance.deleted_at is not None or instance.wanted == Wanted.LOGGED_OUT:
        raise NotMovable("Its link is being removed.")
    if instance.wanted != Wanted.STOPPED:
        path = f"/api/instances/{instance.pk}/stop"
        raise NotMovable(f"It is to be connected. Stop it first: POST {path}, or Stop on its page in the admin.")
    if held:
        raise NotMovable("A session worker still holds it. Try again when it has let go, in some seconds.")
    if not instance.linked:
        raise NotMovable("It has no link, so no keys.")


def _forget(instance: Instance) -> None:
    """Delete what the other store has of it."""
    for kind in KeyStore.values:
        if kind != instance.key_store and keystores.configured(kind, instance.network):
            keystores.store_in(kind, instance).erase()

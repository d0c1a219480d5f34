from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts import organizations
from accounts.actor import Actor
from accounts.models import Mode
from audit.services import record
from config.api.problems import Problem
from instances import wakeup
from instances.models import Instance
from instances.selectors import instance_data
from instances.settings import changed
from instances.states import ENDED, State, Wanted
from subscriptions.services import check_instance_limit
from webhooks import events

_NO_CODES = {"qr_code": None, "qr_expires_at": None, "pairing_code": None}


@transaction.atomic
def create(*, actor: Actor, name: str, network: str) -> Instance:
    """Raises Problem ``test_key_on_live`` or ``live_key_on_sandbox`` when the key is of the other mode, and
    ``instance_limit_reached`` when the plan allows no more. ``permission_denied`` for a key limited to instances.
    """
    if actor.instances is not None:
        raise Problem("permission_denied", "A key that is limited to instances cannot create others.")
    if network not in actor.networks:
        raise Problem("test_key_on_live" if actor.mode == Mode.TEST else "live_key_on_sandbox")
    check_instance_limit(organization_id=actor.organization_id, network=network)
    instance = Instance.objects.create(organization_id=actor.organization_id, name=name, network=network)
    events.append([draft(instance, "instance.created", instance_data(instance))])
    record_act(instance, "created", name=instance.name, network=network)
    return instance


@transaction.atomic
def update(*, instance: Instance, name: str | None = None, settings: Mapping[str, Any] | None = None) -> Instance:
    """Change the name, or some of the settings by a merge patch; what is not named stays. Idempotent.

    A session worker that holds the number heeds new settings at once. Raises Problem ``invalid_request``.
    """
    instance = _locked(instance)
    before = {"name": instance.name, "settings": instance.settings}
    if name is not None:
        instance.name = name
    if settings is not None:
        instance.settings = changed(instance.network, instance.settings, settings)
    after = {"name": instance.name, "settings": instance.settings}
    if changes := {what: [before[what], after[what]] for what in after if before[what] != after[what]}:
        instance.save(update_fields=list(changes))
        events.append([draft(instance, "instance.updated", instance_data(instance))])
        record_act(instance, "updated", **changes)
        transaction.on_commit(lambda: wakeup.holder_of(instance.pk))
    return instance


def record_act(instance: Instance, verb: str, **changes: Any) -> None:
    """Note in the organization's audit log what was done to an instance."""
    record(f"instance:{verb}", organization_id=instance.organization_id, subject=instance.id, changes=changes)


def draft(instance: Instance, type_: str, data: dict[str, Any]) -> events.Draft:
    """An event of this instance, to be appended in the transaction of what it reports."""
    return events.Draft(instance.organization_id, instance.id, instance.network, type_, data)


def change_state(instance: Instance, state: str, reason: str, detail: str = "", **columns: Any) -> list[events.Draft]:
    """Write a new state onto a row the caller has locked; returns the events that report it.

    Nothing is reported when state and reason stay the same. ``columns`` are written as well.
    """
    moved = (instance.state, instance.reason) != (state, reason)
    values: dict[str, Any] = {"state": state, "reason": reason, "detail": detail[:500], **columns}
    if moved:
        values["state_since"] = timezone.now()
    if state != State.LINKING:
        values |= _NO_CODES
    for name, value in values.items():
        setattr(instance, name, value)
    instance.save(update_fields=list(values))
    if not moved:
        return []
    drafts = [draft(instance, "instance.state", instance_data(instance))]
    if state == State.CONNECTED:
        drafts.append(draft(instance, "instance.connected", instance_data(instance)))
    return drafts


def _locked(instance: Instance) -> Instance:
    return Instance.objects.select_for_update(no_key=True).get(pk=instance.pk)


@transaction.atomic
def connect(*, instance: Instance) -> Instance:
    """Ask for the instance to be online. Idempotent; a linked number logs in, another one shows a QR code.

    Raises Problem ``organization_suspended``.
    """
    instance = _locked(instance)
    organizations.check_active(organization_id=instance.organization_id)
    if instance.wanted == Wanted.CONNECTED and instance.state not in ENDED:
        return instance
    instance.wanted = Wanted.CONNECTED
    instance.save(update_fields=["wanted"])
    state = State.CONNECTING if instance.linked else State.LINKING
    events.append(change_state(instance, state, "waiting_for_worker", banned_until=None))
    record_act(instance, "started")
    transaction.on_commit(lambda: wakeup.workers(instance.network))
    return instance


@transaction.atomic
def stop(*, instance: Instance) -> Instance:
    """Ask for the instance to be offline; the link is kept. Idempotent."""
    instance = _locked(instance)
    # A number that a suspension stopped would come back by itself; this one shall not.
    if instance.wanted == Wanted.STOPPED and (instance.state, instance.reason) == (State.STOPPED, "stopped_by_user"):
        return instance
    instance.wanted = Wanted.STOPPED
    instance.save(update_fields=["wanted"])
    events.append(change_state(instance, State.STOPPED, "stopped_by_user"))
    record_act(instance, "stopped")
    transaction.on_commit(lambda: wakeup.holder_of(instance.pk))
    return instance


@transaction.atomic
def request_pairing_code(*, instance: Instance, phone: str) -> Instance:
    """Ask WhatsApp for a code that is typed on the phone instead of scanning; connects if need be.

    Raises Problem ``instance_already_linked``.
    """
    instance = _locked(instance)
    if instance.linked:
        raise Problem("instance_already_linked")
    instance.link_phone, instance.pairing_code = phone, None
    instance.save(update_fields=["link_phone", "pairing_code"])
    instance = connect(instance=instance)
    record_act(instance, "pairing_code_requested", phone=phone)
    transaction.on_commit(lambda: wakeup.holder_of(instance.pk))
    return instance


@transaction.atomic
def mark_orphaned(*, instance_id: str) -> None:
    """Note that an instance's worker went away, unless another one has taken it up since."""
    orphans = Instance.objects.select_for_update(no_key=True).filter(pk=instance_id, lease_until__lt=Now())
    instance = orphans.first()
    if instance and instance.state in (State.CONNECTED, State.CONNECTING):
        events.append(change_state(instance, State.RECONNECTING, "worker_lost"))

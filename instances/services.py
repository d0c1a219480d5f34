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
from instances import link_limits, proxies, settings, wakeup
from instances.labels import changed_metadata, checked_labels
from instances.models import ConnectionChange, Instance
from instances.selectors import instance_data
from instances.settings import changed
from instances.states import ENDED, State, Wanted
from subscriptions.services import check_instance_limit
from webhooks import events

_NO_CODES = {"qr_code": None, "qr_expires_at": None, "pairing_code": None}


_SHOWN = ("name", "labels", "metadata", "settings")


@transaction.atomic
def create(*, actor: Actor, name: str, network: str, **more: Any) -> Instance:
    """A new instance; ``more`` are labels, metadata and settings, as `update` takes them.

    Raises Problem ``test_key_on_live`` or ``live_key_on_sandbox`` when the key is of the other mode, and
    ``instance_limit_reached`` when the plan allows no more. ``permission_denied`` for a key limited to instances,
    ``invalid_request`` and ``url_not_allowed`` as `update`.
    """
    if actor.instances is not None:
        raise Problem("permission_denied", "A key that is limited to instances cannot create others.")
    if network not in actor.networks:
        raise Problem("test_key_on_live" if actor.mode == Mode.TEST else "live_key_on_sandbox")
    check_instance_limit(organization_id=actor.organization_id, network=network)
    instance = Instance(organization_id=actor.organization_id, name=name, network=network)
    _take(instance, **more)
    instance.save(force_insert=True)
    _note(instance)
    events.append([draft(instance, "instance.created", instance_data(instance))])
    record_act(instance, "created", name=instance.name, network=network)
    return instance


@transaction.atomic
def update(*, instance: Instance, **fields: Any) -> Instance:
    """Change the name or the labels, or some of the settings or the metadata by a merge patch; what is not named stays.

    Idempotent. A session worker that holds the number heeds new settings at once; for another proxy it connects anew.
    Raises Problem ``invalid_request`` and ``url_not_allowed``.
    """
    instance = locked(instance)
    before, connects_by = _shown(instance), (instance.proxy, settings.of(instance).mark_online)
    _take(instance, **fields)
    after, anew = _shown(instance), (instance.proxy, settings.of(instance).mark_online) != connects_by
    if anew:
        instance.restarts += 1
    if anew or before != after:
        changes = {what: [before[what], after[what]] for what in after if before[what] != after[what]}
        instance.save(update_fields=[*_SHOWN, "proxy", "restarts"])
        events.append([draft(instance, "instance.updated", instance_data(instance))])
        record_act(instance, "updated", **changes)
        transaction.on_commit(lambda: wakeup.holder_of(instance.pk))
    return instance


def _take(
    instance: Instance,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    labels: Any = None,
    metadata: Any = None,
) -> None:
    if name is not None:
        instance.name = name
    if labels is not None:
        instance.labels = checked_labels(labels)
    if metadata is not None:
        instance.metadata = changed_metadata(instance.metadata, metadata)
    if settings is not None:
        instance.settings = changed(instance.network, instance.settings, settings)
        # As it is shown, without its password, it is the same.
        if "proxy" in settings and (proxy := settings["proxy"]) != proxies.masked(instance.proxy):
            instance.proxy = proxies.checked(proxy) if proxy else None


def _shown(instance: Instance) -> dict[str, Any]:
    """For the audit log, so without secrets."""
    stored = instance.settings | ({"proxy": proxies.masked(instance.proxy)} if instance.proxy else {})
    return {"name": instance.name, "labels": sorted(instance.labels), "metadata": instance.metadata, "settings": stored}


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
    _note(instance)
    drafts = [draft(instance, "instance.state", instance_data(instance))]
    if state == State.CONNECTED:
        drafts.append(draft(instance, "instance.connected", instance_data(instance)))
    return drafts


def _note(instance: Instance) -> None:
    """Write the state into the history."""
    ConnectionChange.objects.create(
        instance=instance,
        at=instance.state_since,
        state=instance.state,
        reason=instance.reason,
        detail=instance.detail,
        worker=instance.holder_id or "",
    )


def locked(instance: Instance) -> Instance:
    """The row, locked and read again. Raises Problem ``not_found`` for one that was deleted meanwhile."""
    found = Instance.objects.present().select_for_update(no_key=True).filter(pk=instance.pk).first()
    if found is None:
        raise Problem("not_found")
    return found


@transaction.atomic
def connect(*, instance: Instance) -> Instance:
    """Ask for the instance to be online. Idempotent; a linked number logs in, another one shows a QR code.

    Raises Problem ``organization_suspended``, ``logging_out``, and to link it as `link_limits.check_room`.
    """
    if not instance.linked:
        link_limits.lock(organization_id=instance.organization_id)
    instance = locked(instance)
    organizations.check_active(organization_id=instance.organization_id)
    if instance.wanted == Wanted.LOGGED_OUT:
        raise Problem("logging_out", "Wait until the instance is logged out, then call connect.")
    if instance.wanted == Wanted.CONNECTED and instance.state not in ENDED:
        return instance
    if not instance.linked:
        link_limits.check_room(organization_id=instance.organization_id, network=instance.network)
    instance.wanted = Wanted.CONNECTED
    instance.save(update_fields=["wanted"])
    state = State.CONNECTING if instance.linked else State.LINKING
    events.append(change_state(instance, state, "waiting_for_worker", banned_until=None))
    record_act(instance, "started")
    transaction.on_commit(lambda: wakeup.workers(instance.network))
    return instance


@transaction.atomic
def stop(*, instance: Instance) -> Instance:
    """Ask for the instance to be offline; the link is kept. Idempotent; nothing for one that is being logged out."""
    instance = locked(instance)
    if instance.wanted == Wanted.LOGGED_OUT:
        return instance
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
def restart(*, instance: Instance) -> Instance:
    """Have the connection, or the link in progress, end and begin anew; one that is offline is connected.

    Raises Problem as `connect`.
    """
    if not instance.linked:
        link_limits.lock(organization_id=instance.organization_id)
    instance = locked(instance)
    if instance.wanted != Wanted.CONNECTED or instance.state in ENDED:
        return connect(instance=instance)
    instance.restarts += 1
    instance.save(update_fields=["restarts"])
    events.append(change_state(instance, State.CONNECTING if instance.linked else State.LINKING, "restarted"))
    record_act(instance, "restarted")
    transaction.on_commit(lambda: wakeup.holder_of(instance.pk))
    return instance


@transaction.atomic
def log_out(*, instance: Instance) -> Instance:
    """Ask for the link to be removed at WhatsApp, and the keys with it; messages and chats stay. Idempotent.

    A session worker does it, the next one if none is there now; an instance that is not linked is only stopped.
    """
    instance = locked(instance)
    if not instance.linked:
        return stop(instance=instance) if instance.wanted == Wanted.CONNECTED else instance
    if instance.wanted == Wanted.LOGGED_OUT:
        return instance
    reason = "logging_out"
    dismiss(instance, reason)
    record_act(instance, "logged_out")
    return instance


def dismiss(instance: Instance, reason: str) -> None:
    """Have the session worker remove the link of a row the caller has locked."""
    events.append(change_state(instance, State.STOPPED, reason, wanted=Wanted.LOGGED_OUT))
    transaction.on_commit(lambda: wakeup.workers(instance.network))
    transaction.on_commit(lambda: wakeup.holder_of(instance.pk))


@transaction.atomic
def end_quarantine(*, instance: Instance) -> None:
    """Let session workers take the instance up now; its crashes are not forgotten, so it is tried alone. Idempotent."""
    instance = locked(instance)
    if instance.quarantined_until is None or instance.quarantined_until <= timezone.now():
        return
    before, instance.quarantined_until = instance.quarantined_until, timezone.now()
    instance.save(update_fields=["quarantined_until"])
    record_act(instance, "quarantine_ended", until=[before.isoformat(), None])
    if instance.wanted == Wanted.CONNECTED:
        events.append(change_state(instance, State.RECONNECTING, "waiting_for_worker"))
    transaction.on_commit(lambda: wakeup.workers(instance.network))


@transaction.atomic
def mark_orphaned(*, instance_id: str) -> None:
    """Note that an instance's worker went away, unless another one has taken it up since."""
    orphans = Instance.objects.select_for_update(no_key=True).filter(pk=instance_id, lease_until__lt=Now())
    instance = orphans.first()
    if instance and instance.state in (State.CONNECTED, State.CONNECTING):
        events.append(change_state(instance, State.RECONNECTING, "worker_lost"))

"""Writes what concerns the instance itself: its state and the progress of a link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from config.timestamps import iso
from instances.holding import attachments
from instances.holding.writer import Handler, Item, Written
from instances.linking import hold_back, in_use, note_linked, other_holder
from instances.models import Instance, KeyStore
from instances.services import change_state, draft, record_act
from instances.states import TRANSITIONS, State, Wanted
from instances.whatsapp.news import StateChange
from webhooks.events import Draft


@dataclass(frozen=True, slots=True)
class ShowQr:
    code: str
    seconds: int


@dataclass(frozen=True, slots=True)
class ShowPairingCode:
    code: str


@dataclass(frozen=True, slots=True)
class Linked:
    device_jid: str
    phone: str
    lid: str | None
    key_store: str = KeyStore.FILE


@dataclass(frozen=True, slots=True)
class Degraded:
    """The connection looks well and is deaf; it is started anew. ``reason``: see Watchdog."""

    reason: str
    silent_seconds: int


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The keys are deleted; WhatsApp has removed the link, unless ``error`` says why not."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """Give the lease back."""


def _change(instance: Instance, change: StateChange) -> list[Draft]:
    if instance.wanted != Wanted.CONNECTED and change.state != State.LOGGED_OUT:
        return []  # the user stopped it; what the connection still reports is of no interest
    if change.state != instance.state and change.state not in TRANSITIONS[instance.state]:
        return []
    columns: dict[str, Any] = {"banned_until": change.banned_until}
    if change.state == State.CONNECTED:
        columns["connected_at"] = timezone.now()
    if change.state == State.RECONNECTING:
        columns["probation_since"] = timezone.now()  # the library connects it again, or we do
    if change.state == State.LOGGED_OUT:
        columns["device_jid"] = None
    if change.state == State.STOPPED or instance.wanted == Wanted.LOGGED_OUT:
        columns["wanted"] = Wanted.STOPPED  # a link that failed waits for the next connect
    return change_state(instance, change.state, change.reason, change.detail, **columns)


def _show_qr(instance: Instance, shown: ShowQr) -> list[Draft]:
    drafts = _change(instance, StateChange(State.LINKING, "waiting_for_scan"))
    if instance.state != State.LINKING:
        return []  # it was stopped or linked meanwhile
    instance.qr_code, instance.qr_expires_at = shown.code, timezone.now() + timedelta(seconds=shown.seconds)
    instance.save(update_fields=["qr_code", "qr_expires_at"])
    qr = {"code": shown.code, "expires_at": iso(instance.qr_expires_at)}
    return [*drafts, draft(instance, "instance.qr", qr)]


def _show_pairing_code(instance: Instance, shown: ShowPairingCode) -> list[Draft]:
    if instance.state != State.LINKING:
        return []
    instance.pairing_code = shown.code
    instance.save(update_fields=["pairing_code"])
    return []


def _linked(items: list[Item], held: dict[str, Instance]) -> Written:
    """The results say of each whether it may stay."""
    results: list[Any] = []
    drafts: list[Draft] = []
    hold_back((held[item.instance_id].network, item.value.phone) for item in items)
    for item in items:
        instance = held[item.instance_id]
        other = other_holder(instance, item.value.phone)
        drafts += _refuse(instance, item.value, other) if other else _take_number(instance, item.value)
        results.append(other is None)
    return Written(results, drafts)


def _refuse(instance: Instance, linked: Linked, other: Instance) -> list[Draft]:
    """Have the new link removed; the number that the instance had, if any, stays its own."""
    code, detail = in_use(instance, other)
    record_act(instance, "link_refused", reason=code)
    unlinking = {
        "device_jid": linked.device_jid,
        "key_store": linked.key_store,
        "link_phone": None,
        "wanted": Wanted.LOGGED_OUT,
    }
    return change_state(instance, State.STOPPED, code, detail, **unlinking)


def _unlinked(instance: Instance, unlinked: Unlinked) -> list[Draft]:
    if instance.wanted != Wanted.LOGGED_OUT:
        return []
    record_act(instance, "link_left" if unlinked.error else "link_removed", detail=unlinked.error)
    columns: dict[str, Any] = {"device_jid": None, "wanted": Wanted.STOPPED}
    if instance.reason in ("number_in_use", "number_taken"):  # which says more
        return change_state(instance, State.STOPPED, instance.reason, instance.detail, **columns)
    reason = "link_left" if unlinked.error else "logged_out_by_user"
    return change_state(instance, State.LOGGED_OUT, reason, unlinked.error, **columns)


def _take_number(instance: Instance, linked: Linked) -> list[Draft]:
    drafts: list[Draft] = []
    note_linked(instance, timezone.now())
    if instance.phone not in (None, linked.phone):
        drafts = [draft for tell in attachments.number_changed for draft in tell(instance)]
    record_act(instance, "linked", phone=[instance.phone, linked.phone])
    instance.link_phone = None
    instance.save(update_fields=["link_phone"])
    numbers: dict[str, Any] = {"device_jid": linked.device_jid, "phone": linked.phone, "lid": linked.lid}
    numbers["key_store"] = linked.key_store
    # A new link is another session: nothing is known against it.
    numbers |= {"crashes": 0, "quarantines": 0, "quarantined_until": None, "probation_since": timezone.now()}
    if instance.wanted == Wanted.STOPPED:  # stopped in the moment of the scan: the link is kept for later
        return drafts + change_state(instance, State.STOPPED, "stopped_by_user", **numbers)
    return drafts + change_state(instance, State.CONNECTING, "linked", **numbers)


def _release(instance: Instance, _: Release) -> list[Draft]:
    instance.holder = instance.lease_until = instance.probation_since = None
    instance.save(update_fields=["holder", "lease_until", "probation_since"])
    return []


def _degraded(instance: Instance, found: Degraded) -> list[Draft]:
    data = {"reason": found.reason, "silent_seconds": found.silent_seconds}
    change = StateChange(State.RECONNECTING, "no_answer")
    return [draft(instance, "instance.degraded", data), *_change(instance, change)]


def _each(write: Any) -> Handler:
    def handler(items: list[Item], held: dict[str, Instance]) -> Written:
        drafts = [draft for item in items for draft in write(held[item.instance_id], item.value)]
        return Written([None] * len(items), drafts)

    return handler


HANDLERS: dict[type, Handler] = {
    StateChange: _each(_change),
    ShowQr: _each(_show_qr),
    ShowPairingCode: _each(_show_pairing_code),
    Linked: _linked,
    Unlinked: _each(_unlinked),
    Degraded: _each(_degraded),
    Release: _each(_release),
}

"""Linking a number: by QR code, by pairing code, and on a page for whoever holds the phone."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from config.api.problems import Problem
from instances import link_limits, wakeup
from instances.models import Instance, LinkPage
from instances.services import change_state, connect, locked, record_act
from instances.states import State, Wanted
from webhooks import events

MOST_CODES = 5  # a phone is rung for each pairing code
# Each is told, before any transaction, that a pairing code will be asked for.
before_pairing: list[Callable[[Instance], None]] = []
_IDLE = timedelta(days=30)  # WhatsApp itself ends a link that was not used for so long


def hold_back(numbers: Iterable[tuple[str, str]]) -> None:
    """Until the transaction ends nobody else gives one of these numbers (network, phone) to an instance.

    Two that link one number in one instant would else not see each other. No constraint says it, since whether a link
    counts depends on the time. On SQLite the beginning of a transaction has waited already.
    """
    if connection.vendor == "postgresql":
        keys = {hashlib.sha256(":".join(number).encode()).digest()[:8] for number in numbers}
        with connection.cursor() as cursor:
            for key in sorted(keys):
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(key, signed=True)])


def other_holder(instance: Instance, phone: str) -> Instance | None:
    """Another instance, of whatever organization, whose link to this number is in use and not being removed.

    What it says lasts for as long as the number is held back.
    """
    used = Q(wanted=Wanted.CONNECTED) | Q(wanted=Wanted.STOPPED, state_since__gt=timezone.now() - _IDLE)
    rows = Instance.objects.present().filter(used, phone=phone, device_jid__isnull=False, network=instance.network)
    return rows.exclude(pk=instance.pk).order_by("pk").first()


def in_use(instance: Instance, other: Instance) -> tuple[str, str]:
    """How that is told to who links: a code, and a detail that names no other tenant's instance."""
    ours = other.organization_id == instance.organization_id
    reason = "number_in_use" if ours else "number_taken"
    return reason, f"The number is linked to {other.id} ({other.name})." if ours else ""


def request_pairing_code(*, instance: Instance, phone: str) -> Instance:
    """Ask WhatsApp for a code that is typed on the phone instead of scanning; connects if need be.

    Raises Problem ``instance_already_linked``, ``number_in_use``, and as `connect`.
    """
    for prepare in before_pairing:
        prepare(instance)
    return _request_pairing_code(instance, phone)


@transaction.atomic
def _request_pairing_code(instance: Instance, phone: str) -> Instance:
    link_limits.lock(organization_id=instance.organization_id)
    instance = locked(instance)
    if instance.linked:
        raise Problem("instance_already_linked")
    # Other tenants' numbers are told to nobody who does not hold the phone.
    other = other_holder(instance, phone)
    if other and other.organization_id == instance.organization_id:
        raise Problem("number_in_use", in_use(instance, other)[1])
    instance.link_phone, instance.pairing_code = phone, None
    instance.save(update_fields=["link_phone", "pairing_code"])
    instance = connect(instance=instance)
    record_act(instance, "pairing_code_requested", phone=phone)
    transaction.on_commit(lambda: wakeup.holder_of(instance.pk))
    return instance


@transaction.atomic
def cancel(*, instance: Instance) -> Instance:
    """End the link in progress, and the link page. Idempotent; an instance that is linked by now stays as it is."""
    instance = locked(instance)
    revoke(instance)
    if instance.linked or instance.wanted != Wanted.CONNECTED:
        return instance
    instance.link_phone = None
    instance.save(update_fields=["link_phone"])
    events.append(change_state(instance, State.STOPPED, "link_cancelled", wanted=Wanted.STOPPED))
    record_act(instance, "link_cancelled")
    transaction.on_commit(lambda: wakeup.holder_of(instance.pk))
    return instance


@transaction.atomic
def open_page(*, instance: Instance, seconds: int) -> tuple[LinkPage, str]:
    """A page that links the instance, and its token, which cannot be had again; it ends the page before.

    Raises Problem ``instance_already_linked``.
    """
    instance = locked(instance)
    if instance.linked:
        raise Problem("instance_already_linked")
    revoke(instance)
    token = f"lnk_{secrets.token_urlsafe(32)}"
    now = timezone.now()
    page = LinkPage.objects.create(
        instance=instance, token_hash=_hash(token), created_at=now, expires_at=now + timedelta(seconds=seconds)
    )
    record_act(instance, "link_page_opened", page=page.id)
    return page, token


@transaction.atomic
def close_page(*, instance: Instance) -> None:
    """End the instance's link page, if there is one; a link in progress goes on. Idempotent."""
    if revoke(locked(instance)):
        record_act(instance, "link_page_closed")


def revoke(instance: Instance) -> int:
    """End its link page; the number of those that were open."""
    return LinkPage.objects.filter(instance=instance, used_at=None, revoked_at=None).update(revoked_at=timezone.now())


def note_linked(instance: Instance, at: datetime) -> None:
    """The number was linked: the page has served, whichever way was taken. In the transaction of the link."""
    LinkPage.objects.filter(instance=instance, used_at=None, revoked_at=None).update(used_at=at)


def page_of(token: str) -> LinkPage:
    """The page of a token, with its instance. Raises Problem ``invalid_link``, the same for whatever is wrong."""
    rows = LinkPage.objects.filter(revoked_at=None, expires_at__gt=timezone.now(), instance__deleted_at=None)
    page = rows.select_related("instance__organization").filter(token_hash=_hash(token)).first()
    if page is None or page.instance.organization.suspended_at is not None:
        raise Problem("invalid_link", "Ask for another link page.")
    return page


def start_by_page(*, page: LinkPage) -> Instance:
    """Show QR codes. Idempotent. Raises Problem ``link_page_ended``, and as `connect`."""
    return connect(instance=_unused(page))


def code_by_page(*, page: LinkPage, phone: str) -> Instance:
    """Ask for a pairing code, some times. Raises Problem ``link_page_ended``, ``too_many_codes``, and as
    `request_pairing_code`, but does not say which instance has the number.
    """
    instance = _unused(page)
    if not LinkPage.objects.filter(pk=page.pk, codes_asked__lt=MOST_CODES).update(codes_asked=F("codes_asked") + 1):
        raise Problem("too_many_codes", "Scan the code instead, or ask for another link page.")
    try:
        return request_pairing_code(instance=instance, phone=phone)
    except Problem as problem:
        if problem.code == "number_in_use":
            raise Problem("number_taken") from problem
        raise


def _unused(page: LinkPage) -> Instance:
    if page.used_at is not None or page.instance.linked:
        raise Problem("link_page_ended")
    return page.instance


def prune() -> None:
    """Drop link pages that ended a day ago."""
    LinkPage.objects.filter(expires_at__lt=timezone.now() - timedelta(days=1)).delete()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

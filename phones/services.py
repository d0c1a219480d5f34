from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.actor import Actor
from config.api.problems import Problem
from instances.models import Instance, Network
from phones import access, network
from phones.models import VirtualPhone

LINK_SECONDS = 10.0


def create(*, actor: Actor, phone: str, name: str) -> VirtualPhone:
    """Create a virtual phone, or rename the organization's own. Raises Problem ``phone_taken``."""
    rows = access.phones(actor)
    try:
        with transaction.atomic():
            row, _ = rows.update_or_create(
                phone=phone,
                defaults={"name": name},
                create_defaults={"name": name, "organization_id": actor.organization_id},
            )
    except IntegrityError as error:
        raise Problem("phone_taken") from error
    _make(row)
    return row


def _make(phone: VirtualPhone) -> None:
    network.call("create_phone", phone=phone.phone, name=phone.name, realm=phone.organization_id)


def _make_all(organization_id: str) -> None:
    """Make the phones that the sandbox does not know: those of a first start, or all after a loss of its state."""
    rows = list(VirtualPhone.objects.filter(organization_id=organization_id))
    known = {one["phone"] for one in network.call("phones", realm=organization_id)} if rows else set()
    for row in rows:
        if row.phone not in known:
            _make(row)


def prepare(instance: Instance) -> None:
    """Make sure that the sandbox knows the phones that an instance may be linked to. If it is away, so is its code."""
    if instance.network == Network.SANDBOX:
        with suppress(Problem):
            _make_all(instance.organization_id)


def _call(method: str, phone: VirtualPhone, **arguments: Any) -> Any:
    _make_all(phone.organization_id)
    return network.call(method, phone=phone.phone, **arguments)


def scan(*, phone: VirtualPhone, instance: Instance) -> None:
    """Have the phone scan the code the instance shows, and wait until it is linked, as the phone's screen does.

    Does nothing when the instance is linked to this phone already.
    Raises Problem ``no_qr``, ``link_unfinished`` after LINK_SECONDS, or what the sandbox says.
    """
    if instance.network != Network.SANDBOX:
        raise Problem("no_qr", "A virtual phone can scan sandbox instances only.")
    if instance.linked and instance.phone == phone.phone:
        return
    if instance.qr_code is None or (instance.qr_expires_at or timezone.now()) <= timezone.now():
        raise Problem("no_qr", f"The instance is {instance.state}; call connect, then wait for its QR code.")
    _call("scan", phone, qr=instance.qr_code)
    deadline = time.monotonic() + LINK_SECONDS
    while not Instance.objects.filter(pk=instance.pk, phone=phone.phone, device_jid__isnull=False).exists():
        refused = Instance.objects.filter(pk=instance.pk, reason__in=["number_in_use", "number_taken"]).first()
        if refused:
            raise Problem(refused.reason, refused.detail)
        if time.monotonic() > deadline:
            raise Problem("link_unfinished", "The code was scanned; look at the instance's state.")
        time.sleep(0.05)


def enter_code(*, phone: VirtualPhone, code: str) -> None:
    """Have the user of the phone type a pairing code."""
    _call("enter_code", phone, code=code)


def send(*, phone: VirtualPhone, to: str, kind: str, content: Any, **attributes: Any) -> dict[str, Any]:
    """Write from the phone, as its user would; contents and attributes as the sandbox's ``send_message`` takes them.

    The result has the ids of an album's items besides. Raises Problem ``not_on_whatsapp``, ``not_found`` for a
    message that the phone does not know, and ``phone_refused`` for what it cannot send.
    """
    try:
        return dict(_call("send_message", phone, to=to, type=kind, content=content, **attributes))
    except Problem as problem:
        if problem.code == "invalid_request":
            raise Problem("phone_refused", problem.detail) from problem
        raise


def received(*, phone: VirtualPhone, after: int, limit: int) -> dict[str, Any]:
    """What the phone has seen, oldest first."""
    return dict(_call("messages", phone, after=after, limit=limit))


def mark_read(*, phone: VirtualPhone, message_id: str) -> None:
    _call("mark_read", phone, id=message_id)


def ring(*, phone: VirtualPhone, to: str, video: bool) -> dict[str, Any]:
    """Call somebody, or everybody in a group; nobody can answer. Raises Problem ``not_on_whatsapp``."""
    return dict(_call("call", phone, to=to, video=video))


def calls(*, phone: VirtualPhone) -> list[dict[str, Any]]:
    """Those that the phone made and got since the sandbox started, oldest first."""
    return list(_call("calls", phone))


def hang_up(*, phone: VirtualPhone, call_id: str) -> None:
    """End a call that the phone makes. Idempotent."""
    _call("hang_up", phone, id=call_id)

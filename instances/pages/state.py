"""What a link page shows: nothing of its tenant but the name of the instance."""

from __future__ import annotations

from typing import Any, Literal

import segno
from django.utils import timezone

from config.timestamps import iso
from instances.models import Instance, LinkPage
from instances.states import REASONS, State

Status = Literal["waiting", "starting", "scan", "linked"]
_REFUSALS = ("number_in_use", "number_taken")
_LINKED = "The number is linked. You can close this page."
_STARTING = "One moment: WhatsApp is asked for a code."
_WAITING = "There is no code now."


def page_data(page: LinkPage) -> dict[str, Any]:
    """The page as it is now. Codes are shown while the number is being linked, and never after."""
    instance = page.instance
    status, text = _status(page, instance)
    showing = status == "scan"
    return {
        "name": instance.name,
        "status": status,
        "text": text,
        "qr": {"image": image(str(instance.qr_code)), "expires_at": iso(instance.qr_expires_at)} if showing else None,
        "pairing_code": instance.pairing_code if showing else None,
        "expires_at": iso(page.expires_at),
    }


def _status(page: LinkPage, instance: Instance) -> tuple[Status, str]:
    if page.used_at is not None or (instance.linked and instance.reason not in _REFUSALS):
        return "linked", _LINKED
    if instance.reason in _REFUSALS:
        return "waiting", REASONS["number_taken"].sentence  # which names no other instance
    if instance.state in (State.LINKING, State.RECONNECTING):
        shown = instance.qr_code is not None and (instance.qr_expires_at or timezone.now()) > timezone.now()
        return ("scan", "") if shown else ("starting", _STARTING)
    timed_out = instance.reason in ("link_timeout", "link_failed", "link_cancelled")
    return "waiting", REASONS[instance.reason].sentence if timed_out else _WAITING


def image(code: str) -> str:
    """A QR code as the address of an SVG picture."""
    return str(segno.make_qr(code).svg_data_uri(scale=6, border=2))

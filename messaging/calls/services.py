from __future__ import annotations

from django.utils import timezone

from config.api.problems import Problem
from config.ids import id_at
from instances import commands
from messaging.calls.models import Call
from messaging.calls.writing import KEPT, RINGS


def reject(*, call: Call) -> Call:
    """Reject a call that rings, by the live connection. Idempotent.

    Raises Problem ``call_ended``, and like ``instances.commands.call``.
    """
    if call.status == Call.Status.REJECTED:
        return call
    rings = call.status in (Call.Status.RINGING, Call.Status.REJECTING)
    if not rings or timezone.now() - call.at > RINGS:
        raise Problem("call_ended")
    commands.call(call.instance, "reject_call", {"call": call.pk})
    call.refresh_from_db()
    return call


def prune() -> None:
    """Drop old calls."""
    Call.objects.filter(pk__lt=id_at(timezone.now() - KEPT, "cal")).delete()

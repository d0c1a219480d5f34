"""Writes what becomes of calls: handlers of the session worker's writer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from config.ids import id_at
from instances import settings
from instances.holding.writer import Handler, Item, Written
from instances.models import Instance
from instances.services import draft
from instances.whatsapp.news import CallOver, IncomingCall, Person
from messaging.calls.models import Call
from messaging.calls.selectors import call_data
from messaging.models import Contact
from messaging.receiving import people
from webhooks.events import Draft

RINGS = timedelta(seconds=60)  # WhatsApp gives up after about as long; what is older was over before we knew
TEXT_EVERY = timedelta(minutes=10)  # to one caller, however often they call
KEPT = timedelta(days=30)
_OPEN = (Call.Status.RINGING, Call.Status.REJECTING)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The engine has rejected a call."""

    wa_id: str
    at: datetime


def incoming(items: list[Item], held: dict[str, Instance]) -> Written:
    """Each call once. The result says which one is to be rejected, or its caller to be written to: its id, or None."""
    results: list[str | None] = []
    drafts: list[Draft] = []
    for item in items:
        instance = held[item.instance_id]
        call = Call.objects.filter(instance=instance, wa_id=item.value.wa_id).first()
        if call is None and not _is_own(instance, item.value.caller):
            call = _kept(instance, item.value)
            drafts.append(draft(instance, "call.received", call_data(call)))
        results.append(call.pk if call is not None and is_unsettled(call) else None)
    return Written(results, drafts)


def is_unsettled(call: Call) -> bool:
    return call.status == Call.Status.REJECTING or call.text == Call.Text.OWED


def _is_own(instance: Instance, caller: Person) -> bool:
    """A call that the number's owner makes on the phone."""
    return bool((caller.phone and caller.phone == instance.phone) or (caller.lid and caller.lid == instance.lid))


def _kept(instance: Instance, news: IncomingCall) -> Call:
    people.met([(instance.pk, news.caller)])
    call = Call(
        organization_id=instance.organization_id,
        instance=instance,
        wa_id=news.wa_id,
        status=Call.Status.RINGING,
        caller=news.caller_jid,
        phone=news.caller.phone,
        lid=news.caller.lid,
        video=news.video,
        group=news.group,
        group_jid=news.group_jid,
        at=news.at,
    )
    known = Contact.objects.filter(_is(call), instance=instance).exclude(name="")
    call.name = known.values_list("name", flat=True).first() or ""
    wanted = settings.of(instance).calls
    if timezone.now() - news.at > RINGS:
        call.status, call.reason = Call.Status.MISSED, "missed"
    elif wanted.reject:
        call.status = Call.Status.REJECTING
        call.text = Call.Text.OWED if wanted.text and not call.group and not _was_told(call) else Call.Text.NONE
    call.save(force_insert=True)
    return call


def _is(call: Call) -> Q:
    return Q(phone=call.phone, phone__isnull=False) | Q(lid=call.lid, lid__isnull=False)


def _was_told(call: Call) -> bool:
    lately = Call.objects.filter(_is(call), instance_id=call.instance_id).exclude(text=Call.Text.NONE)
    return lately.filter(pk__gt=id_at(timezone.now() - TEXT_EVERY, "cal")).exists()


def over(items: list[Item], held: dict[str, Instance]) -> Written:
    """WhatsApp says that a call rings no more. One that we rejected, or do not know, is passed over."""
    return _ended(items, held, Call.Status.ENDED)


def rejected(items: list[Item], held: dict[str, Instance]) -> Written:
    return _ended(items, held, Call.Status.REJECTED)


def _ended(items: list[Item], held: dict[str, Instance], status: str) -> Written:
    drafts = []
    for item in items:
        value: CallOver | Rejected = item.value
        instance = held[item.instance_id]
        call = Call.objects.filter(instance=instance, wa_id=value.wa_id, status__in=_OPEN).first()
        if call is not None:
            call.status, call.ended_at = status, value.at
            call.reason = value.reason if isinstance(value, CallOver) else "rejected"
            call.save(update_fields=["status", "ended_at", "reason"])
            drafts.append(draft(instance, "call.ended", call_data(call)))
    return Written([None] * len(items), drafts)


HANDLERS: dict[type, Handler] = {IncomingCall: incoming, CallOver: over, Rejected: rejected}

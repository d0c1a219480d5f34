"""The text to whoever called and was rejected: a message like any other, once for each call."""

from __future__ import annotations

import structlog

from accounts.actor import Actor
from config.api.idempotency import Answer
from config.api.problems import Problem
from instances import settings
from instances.models import Instance
from instances.whatsapp.jids import PHONE, Jid, parse
from messaging.accepting.orders import Outgoing, Verdict
from messaging.calls.models import Call
from messaging.services import accept
from messaging.states import Origin

log = structlog.get_logger(__name__)


class _Given(Exception):
    """Somebody else has accepted the text of this call."""


def give(call: Call) -> None:
    """Accept the text that is owed for a call, if one is. Idempotent; a text that is refused is not tried again.

    The message and the note that it was given are one transaction, so a crash neither loses nor doubles it.
    """
    owed = Call.objects.filter(pk=call.pk, text=Call.Text.OWED)
    instance = Instance.objects.filter(pk=call.instance_id, calls__in=owed).first()
    if instance is None:
        return
    text = settings.of(instance).calls.text
    if text is None:  # taken back meanwhile
        owed.update(text=Call.Text.NONE)
        return

    def within(verdicts: list[Verdict]) -> None:
        if not owed.update(text=Call.Text.GIVEN):
            raise _Given
        if isinstance(verdicts[0], Problem):
            log.warning("call_not_answered", call=call.pk, code=verdicts[0].code)

    to = Jid(call.phone, PHONE) if call.phone else parse(call.caller)
    origin = Origin.CALL.value
    outgoing = Outgoing(call.instance_id, to, "text", {"body": text}, client_ref=call.pk, origin=origin)
    actor = Actor(call.organization_id, "user", call.pk, frozenset())
    try:
        accept(actor=actor, outgoing=[outgoing], answer_of=lambda verdicts: Answer(202, None), within=within)
    except _Given:
        log.info("call_answered_already", call=call.pk)

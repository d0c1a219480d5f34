"""Rejects calls in the session worker that holds the number. Loaded in session workers only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from config.ids import id_at
from instances.holding import attachments, writer
from instances.holding.attachments import Held
from instances.holding.writer import LeaseLost
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.jids import parse
from instances.whatsapp.news import CallOver, IncomingCall, News
from messaging.calls import answering
from messaging.calls.models import Call
from messaging.calls.writing import HANDLERS, RINGS, TEXT_EVERY, Rejected

log = structlog.get_logger(__name__)


def reject(held: Held, arguments: dict[str, Any]) -> None:
    """``{call}``: reject it by hand. Raises SendFailed."""
    _reject(held, Call.objects.get(pk=arguments["call"]))


def _reject(held: Held, call: Call) -> None:
    held.reject_call(parse(call.caller), call.wa_id)
    held.write(Rejected(call.wa_id, timezone.now())).result()


def settle(held: Held, call_id: str) -> None:
    """Reject a call if it still rings, then write to its caller; called again it does the rest. Raises SendFailed."""
    call = Call.objects.get(pk=call_id)
    if call.status == Call.Status.REJECTING and timezone.now() - call.at <= RINGS:
        _reject(held, call)
    elif call.status == Call.Status.REJECTING:
        held.write(CallOver(call.wa_id, "missed", timezone.now())).result()
    answering.give(call)


class Calls:
    """The attachment of one number. Calls are rare, so each has a thread, and no event waits for it."""

    def __init__(self, held: Held) -> None:
        self._held = held

    def online(self) -> None:
        """Settle what a worker that died has left."""
        self._begin(self._settle_rest)

    def offline(self) -> None:
        pass

    def seen(self, news: News) -> None:
        if isinstance(news, IncomingCall) and timezone.now() - news.at <= RINGS:
            self._begin(lambda: self._settle_new(news))

    def wake(self) -> None:
        pass

    def close(self, deadline: float) -> None:
        """What is not settled by now is the next holder's."""

    def _begin(self, act: Callable[[], None]) -> None:
        threading.Thread(target=self._run, args=[act], name=f"calls-{self._held.instance_id}", daemon=True).start()

    def _run(self, act: Callable[[], None]) -> None:
        structlog.contextvars.bind_contextvars(instance=self._held.instance_id)
        try:
            act()
        except (SendFailed, LeaseLost) as error:
            log.info("call_not_settled", error=str(error))
        except Exception:
            log.exception("calls_failed")
        finally:
            connection.close()

    def _settle_new(self, news: IncomingCall) -> None:
        # Whoever comes first writes it, this or the intake; the other one finds it there.
        if call_id := self._held.write(news).result():
            settle(self._held, call_id)

    def _settle_rest(self) -> None:
        lately = Call.objects.filter(pk__gt=id_at(timezone.now() - TEXT_EVERY, "cal"))
        unsettled = lately.filter(Q(status=Call.Status.REJECTING) | Q(text=Call.Text.OWED))
        for call_id in list(unsettled.filter(instance_id=self._held.instance_id).values_list("pk", flat=True)):
            settle(self._held, call_id)


attachments.attach.append(Calls)
attachments.commands["reject_call"] = reject
writer.handlers.update(HANDLERS)

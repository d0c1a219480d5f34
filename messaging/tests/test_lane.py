"""A whole lane with the real writer, and a number that is faked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from django.utils import timezone

from conftest import wait_for
from instances.holding import attachments, writer
from instances.holding.writer import CommitUnknown, Writer
from instances.models import Instance
from instances.whatsapp.jids import Jid
from instances.whatsapp.news import Sent
from instances.whatsapp.store import Trace, Trail
from messaging.models import Message
from messaging.sending.ledger import Claim
from messaging.tests.conftest import FakeHeld


class Nothing:
    """A store in which no message was begun."""

    def trace(self, secret: bytes) -> Trail:
        return Trail(Trace.ABSENT)

    def forget_secret(self, secret: bytes) -> None:
        pass


class Online(FakeHeld):
    """Sends whatever it is given. The answer to its first claims is lost on the way back from the database."""

    def __init__(self, instance: Instance, write: Callable[[Any], Future[Any]]) -> None:
        super().__init__(instance, write)
        self.store, self.sent, self.lose = Nothing(), list[Jid](), 0

    def write(self, value: Any, *, urgent: bool = True) -> Future[Any]:
        future = super().write(value)
        if isinstance(value, Claim) and self.lose:
            self.lose -= 1
            future.result(20)
            future = Future()
            future.set_exception(CommitUnknown())
        return future

    def send(self, to: Jid, message: Any) -> Sent:
        self.sent.append(to)
        return Sent(f"WA{len(self.sent)}", int(timezone.now().timestamp()))


@pytest.fixture
def number(held: Instance, running_writer: Writer) -> Iterator[Online]:
    lists = attachments.attach, attachments.find_work, attachments.number_changed
    before, commands = [list(one) for one in lists], dict(attachments.commands)
    first, once = set(writer.first), set(writer.once)
    from messaging.sending.lanes import Lane  # what it adds for session workers must not stay

    for one, had in zip(lists, before, strict=True):
        one[:] = had  # type: ignore[assignment]
    attachments.commands.clear()
    attachments.commands.update(commands)
    writer.first, writer.once = first, once
    number = Online(held, lambda value: running_writer.submit(held.id, 1, value))
    lane = Lane(number)  # type: ignore[arg-type]
    number.lane = lane  # type: ignore[attr-defined]
    yield number
    lane.close(20)


def test_messages_whose_claim_nobody_heard_of_are_sent_once_and_in_order(
    number: Any, held: Instance, make_message: Callable[..., Message]
) -> None:
    rows = [make_message(held, chat=f"1555010000{place}@s.whatsapp.net") for place in range(2, 6)]
    number.lose = 2
    number.lane.online()

    def all_sent() -> bool:
        number.lane.wake()  # as the holder does while something is queued
        return Message.objects.filter(status="sent").count() == len(rows)

    wait_for(all_sent, 20)
    assert [str(jid) for jid in number.sent] == [row.chat for row in rows]

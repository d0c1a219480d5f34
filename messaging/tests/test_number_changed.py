from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from instances.holding import attachments, writer
from instances.holding.handlers import HANDLERS, Linked
from instances.models import Instance
from messaging.models import Message
from messaging.sending.ledger import fail_waiting

MakeMessage = Callable[..., Message]


@pytest.fixture
def link(write: Callable[..., list[Any]]) -> Iterator[Callable[[str], None]]:
    """Links Alice's instance to a number, as its worker would report it."""
    writer.handlers.update(HANDLERS)
    attachments.number_changed.append(fail_waiting)
    yield lambda phone: write(Linked(f"{phone}:2@s.whatsapp.net", phone, None)) and None
    attachments.number_changed.remove(fail_waiting)


def test_what_waits_does_not_go_out_from_another_number(
    link: Callable[[str], None], held: Instance, make_message: MakeMessage
) -> None:
    waiting, sent = make_message(held), make_message(held, status="sent")
    link("15550109999")
    waiting.refresh_from_db()
    assert (waiting.status, waiting.error_code) == ("failed", "number_changed")
    sent.refresh_from_db()
    assert sent.status == "sent"


def test_what_waits_goes_out_when_the_same_number_is_linked_again(
    link: Callable[[str], None], held: Instance, make_message: MakeMessage
) -> None:
    waiting = make_message(held)
    link(held.phone or "")
    waiting.refresh_from_db()
    assert waiting.status == "queued"

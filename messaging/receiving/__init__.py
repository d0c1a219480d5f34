"""What numbers receive: messages, what changes them, and receipts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from messaging.models import Message
    from webhooks.events import Draft

# Each is told of new messages that came in, or were written on the phone, inside the writer's transaction, with the
# instances on the rows; it returns the events that report what it made of them. Apps of higher floors register here.
received: list[Callable[[Sequence[Message]], list[Draft]]] = []

"""Messages that can never go out."""

from __future__ import annotations

from collections.abc import Iterable

from instances.models import Instance
from messaging.models import Message
from messaging.progress import move
from messaging.states import Status
from subscriptions import quota


def fail(messages: Iterable[Message], instance: Instance, code: str, detail: str) -> list[Message]:
    """End messages that have not left, in the caller's transaction; those that it was not too late for.

    They do not count against the month.
    """
    failed = [one for one in messages if move(one, Status.FAILED, error_code=code, error_detail=detail)]
    quota.release((instance.organization_id, instance.network, message.created_at) for message in failed)
    return failed

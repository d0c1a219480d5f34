"""What somebody has sent to one endpoint: a test, or a delivery once more."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils import timezone

from config.api.problems import Problem
from webhooks import announcer, catalogue, events
from webhooks.models import Delivery, Endpoint

TEST = "webhook.test"


def require_enabled(endpoint_id: str) -> None:
    """Raises Problem ``webhook_disabled``, also for a deleted endpoint."""
    if not Endpoint.objects.filter(pk=endpoint_id, enabled=True, deleted_at=None).exists():
        raise Problem("webhook_disabled", "Enable the endpoint first.")


@transaction.atomic
def send_test(*, endpoint: Endpoint, type: str = TEST) -> Delivery:
    """Write a test event of the organization, delivered to this endpoint alone, whatever it wants.

    Of another type than ``webhook.test`` it has the data of the type's example. Everybody who reads the log sees it,
    with ``"test": true`` in its data. Raises Problem ``webhook_disabled``.
    """
    require_enabled(endpoint.pk)
    own = {"webhook": endpoint.pk} if type == TEST else catalogue.contents()[type].example
    data = {**own, "test": True}
    draft = events.Draft(endpoint.organization_id, None, endpoint.network, type, data)
    (event,) = events.append([draft], only_to=endpoint.pk)
    return Delivery.objects.select_related("event").get(event=event, endpoint=endpoint)


@transaction.atomic
def resend(*, delivery: Delivery) -> bool:
    """Attempt a finished delivery once more, at once and before what is due later; False if it is still open.

    Idempotent while it is open. After a failure it goes on with the attempts it has left. Raises Problem
    ``webhook_disabled``, also for a deleted endpoint.
    """
    require_enabled(delivery.endpoint_id)
    again = {"state": Delivery.State.PENDING, "next_attempt_at": timezone.now(), "replay": False}
    if not Delivery.objects.filter(pk=delivery.pk, next_attempt_at__isnull=True).update(**again):
        return False
    for name, value in again.items():
        setattr(delivery, name, value)
    transaction.on_commit(partial(announcer.announce, [], [delivery.endpoint_id]), robust=True)
    return True

"""What /metrics tells of numbers and their workers, as of now."""

from __future__ import annotations

from django.db.models import Count
from django.db.models.functions import Now

from config import metrics
from config.metrics import Values, by_label
from instances.models import Instance, Network, Worker
from instances.states import State


def by_state() -> Values:
    rows = Instance.objects.order_by().values_list("state").annotate(Count("pk"))
    return {(state,): 0.0 for state in State.values} | dict(by_label(rows))


def workers() -> Values:
    rows = Worker.objects.live().order_by().values_list("network").annotate(Count("pk"))
    return {(network,): 0.0 for network in Network.values} | dict(by_label(rows))


def held() -> Values:
    rows = Instance.objects.filter(lease_until__gt=Now()).order_by().values_list("network").annotate(Count("pk"))
    return {(network,): 0.0 for network in Network.values} | dict(by_label(rows))


READINGS = {metrics.INSTANCES: by_state, metrics.WORKERS: workers, metrics.NUMBERS_HELD: held}

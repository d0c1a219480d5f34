from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet

from accounts.models import Mode
from config.api.health import part
from config.timestamps import iso
from instances import settings as settings_of_instances
from instances.models import Instance, Network, Worker
from instances.states import REASONS, Wanted

_AT_ONCE = 500  # ids in one query


def instance_data(instance: Instance) -> dict[str, Any]:
    """The instance as clients see it, in answers and in events."""
    words = REASONS[instance.reason]
    return {
        "id": instance.id,
        "name": instance.name,
        "network": instance.network,
        "wanted": instance.wanted,
        "state": instance.state,
        "reason": instance.reason,
        "reason_text": words.sentence,
        "advice": words.advice,
        "detail": instance.detail,
        "since": iso(instance.state_since),
        "jid": instance.jid,
        "phone": instance.phone,
        "lid": instance.lid,
        "banned_until": iso(instance.banned_until),
        "connected_at": iso(instance.connected_at),
        "created_at": iso(instance.created_at),
        "labels": sorted(instance.labels),
        "metadata": instance.metadata,
        "settings": settings_of_instances.shown(instance),
    }


# What higher floors add to the answers about instances: each gives, of some instances, fields by id.
additions: list[Callable[[Sequence[Instance]], Mapping[str, Mapping[str, Any]]]] = []


def answers(instances: Sequence[Instance]) -> list[dict[str, Any]]:
    """The instances as answers show them: with what higher floors know of them."""
    added = [addition(instances) for addition in additions]
    return [instance_data(one) | {k: v for each in added for k, v in each[one.id].items()} for one in instances]


def answer(instance: Instance) -> dict[str, Any]:
    """One instance as answers show it."""
    return answers([instance])[0]


def filtered(
    rows: QuerySet[Instance],
    *,
    network: str | None = None,
    state: Collection[str] = (),
    label: str | None = None,
    phone: str | None = None,
) -> QuerySet[Instance]:
    """Those of the instances that all of it is true of."""
    if network is not None:
        rows = rows.filter(network=network)
    if state:
        rows = rows.filter(state__in=state)
    if label is not None:
        rows = rows.filter(labels__has_key=label)
    return rows if phone is None else rows.filter(phone=phone)


def count(organization_id: str) -> dict[str, int]:
    """How many numbers an organization has on each network, whatever their state."""
    rows = Instance.objects.present().filter(organization_id=organization_id).values_list("network")
    return dict(rows.annotate(Count("pk")))


def known(organization_id: str, mode: str, instance_ids: Collection[str]) -> set[str]:
    """Those of the ids that are instances a key of this mode could reach."""
    network = Network.SANDBOX if mode == Mode.TEST else Network.WHATSAPP
    rows = Instance.objects.present().filter(pk__in=list(instance_ids))
    rows = rows.filter(organization_id=organization_id, network=network)
    return set(rows.values_list("pk", flat=True))


def check_workers() -> dict[str, Any]:
    """For /health: is there a session worker for each network that has numbers to hold?"""
    alive = set(Worker.objects.live().values_list("network", flat=True))
    needed = set(Instance.objects.filter(wanted=Wanted.CONNECTED).values_list("network", flat=True).distinct())
    if settings.SANDBOX_ENABLED:
        needed.add(Network.SANDBOX)
    missing = sorted(needed - alive)
    return part(not missing, f"No session worker for: {', '.join(missing)}." if missing else "")


def there(instance_ids: Collection[str]) -> set[str]:
    """Those of the instances whose rows there are, whosesoever; of deleted ones until they are cleared away."""
    asked, found = sorted(instance_ids), set()
    for start in range(0, len(asked), _AT_ONCE):
        rows = Instance.objects.filter(pk__in=asked[start : start + _AT_ONCE])
        found |= set(rows.values_list("pk", flat=True))
    return found

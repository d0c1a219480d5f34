"""How many numbers are linked at a time: each attempt costs a session worker a process of its own."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q

from accounts.models import Organization
from config.api.problems import Problem
from instances.models import Instance, Worker
from instances.states import ENDED, Wanted

_LINKING = Q(wanted=Wanted.CONNECTED, device_jid=None) & ~Q(state__in=ENDED)


def lock(*, organization_id: str) -> None:
    """Hold back other links of an organization until the transaction ends. Before any lock of its instances."""
    Organization.objects.select_for_update(no_key=True).filter(pk=organization_id).exists()


def check_room(*, organization_id: str, network: str) -> None:
    """After `lock`. Raises Problem ``too_many_links`` and ``linking_busy``."""
    links = Instance.objects.present().filter(_LINKING, network=network)
    if links.filter(organization_id=organization_id).count() >= settings.LINKS_PER_ORGANIZATION:
        most = settings.LINKS_PER_ORGANIZATION
        raise Problem("too_many_links", f"At most {most} at a time; finish or cancel one.", limit=most)
    workers = max(1, Worker.objects.live().filter(network=network).count())
    if links.count() >= settings.LINKS_PER_WORKER * workers:
        raise Problem("linking_busy", headers={"Retry-After": "30"})

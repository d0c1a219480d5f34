"""What a suspension does to the numbers of an organization."""

from __future__ import annotations

from functools import partial

from django.db import transaction

from accounts.models import Organization
from instances import wakeup
from instances.models import Instance
from instances.services import change_state
from instances.states import ENDED, State, Wanted
from webhooks import events


def _locked(organization: Organization) -> list[Instance]:
    # All of them: a row that somebody is connecting right now would not match a filter before the wait for its lock.
    return list(Instance.objects.select_for_update(no_key=True).filter(organization=organization).order_by("pk"))


def stop_all(organization: Organization) -> None:
    """Take every number that is, or shall be, online off the network; runs in the suspending transaction.

    Links and queued messages stay. Numbers that are stopped or have ended stay as they are.
    """
    drafts = []
    for instance in _locked(organization):
        if instance.wanted == Wanted.CONNECTED and instance.state not in ENDED:
            drafts += change_state(instance, State.STOPPED, "organization_suspended", wanted=Wanted.STOPPED)
            transaction.on_commit(partial(wakeup.holder_of, instance.pk))
    events.append(drafts)


def reconnect_all(organization: Organization) -> None:
    """Connect the numbers that the suspension stopped; runs in the resuming transaction."""
    drafts, networks = [], set()
    for instance in _locked(organization):
        if instance.state == State.STOPPED and instance.reason == "organization_suspended":
            state = State.CONNECTING if instance.linked else State.LINKING
            drafts += change_state(instance, state, "waiting_for_worker", wanted=Wanted.CONNECTED)
            networks.add(instance.network)
    events.append(drafts)
    for network in networks:
        transaction.on_commit(partial(wakeup.workers, network))

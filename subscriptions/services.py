from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import organizations
from accounts.actor import Actor
from accounts.models import Organization, SuspensionReason
from audit.services import record
from config.api.problems import Problem, invalid
from config.timestamps import iso
from subscriptions import quota
from subscriptions.models import NETWORKS, Meter, Plan, Subscription
from subscriptions.periods import period_at
from subscriptions.selectors import count_instances

_PLAN_COLUMNS = (
    "name", "instances", "messages_per_month", "requests_per_minute", "message_retention_days", "position", "is_public",
)  # fmt: skip


def lock(organization_id: str) -> Subscription:
    """The organization's subscription, locked until the caller's transaction ends."""
    # Without a join: after a wait PostgreSQL would find the old plan beside the new row, and so no row at all.
    return Subscription.objects.select_for_update(no_key=True).get(organization_id=organization_id)


def _locked_plan(code: str) -> Plan | None:
    # Locked before the subscription, so that an edit of the plan cannot pass by a meter that is about to follow it.
    return Plan.objects.select_for_update(no_key=True).filter(pk=code).first()


def subscribe_to_basic(organization: Organization) -> None:
    """Give a new organization its first subscription and its meters; runs in the transaction that makes it."""
    plan = Plan.objects.select_for_update(no_key=True).get(pk="basic")
    subscription = Subscription.objects.create(organization=organization, plan=plan)
    starts_at, ends_at = period_at(subscription.started_at, subscription.started_at)
    limit = plan.messages_per_month
    Meter.objects.bulk_create(
        Meter(
            organization=organization,
            network=network,
            limit=limit,
            starts_at=starts_at,
            ends_at=ends_at,
            alert_at=quota.first_alert(limit),
        )
        for network in NETWORKS
    )


def check_instance_limit(*, organization_id: str, network: str) -> None:
    """To be called before a number is created, in the same transaction: creations and changes of plan then take turns.

    Raises Problem ``instance_limit_reached``.
    """
    assert transaction.get_connection().in_atomic_block, "the limit is checked in the transaction that creates"
    limit, used = lock(organization_id).plan.instances, count_instances(organization_id)[network]
    if used >= limit:
        detail = f"The plan allows {limit} instances on {network}, and there are {used}."
        raise Problem("instance_limit_reached", detail, network=network, limit=limit, used=used)


@transaction.atomic
def change_plan(*, actor: Actor, plan: str) -> Subscription:
    """Change to a public plan, at once; what was used this month stays used. Idempotent.

    Raises Problem ``invalid_request`` for an unknown plan, ``subscription_expired``, or ``plan_too_small`` with
    ``exceeded``: a list of {resource, network, used, limit}.
    """
    chosen = _locked_plan(plan)
    if chosen is None or not chosen.is_public:
        raise invalid("/plan", "unknown_plan", "There is no such plan; see GET /api/plans.")
    subscription, now = lock(actor.organization_id), timezone.now()
    if subscription.expires_at is not None and subscription.expires_at <= now:
        raise quota.expired(subscription.expires_at)
    if subscription.plan_id != chosen.pk:
        _switch(subscription, chosen, must_fit=True)
    return subscription


@transaction.atomic
def set_plan(*, organization: Organization, plan: str) -> Subscription:
    """For operators: give an organization any plan, at once, whether its use fits or not. Idempotent.

    What there is too much of stays; no more of it is granted. Raises Plan.DoesNotExist.
    """
    chosen = _locked_plan(plan)
    if chosen is None:
        raise Plan.DoesNotExist(f"There is no plan {plan!r}.")
    subscription = lock(organization.pk)
    if subscription.plan_id != chosen.pk:
        _switch(subscription, chosen, must_fit=False)
    return subscription


def _switch(subscription: Subscription, plan: Plan, *, must_fit: bool) -> None:
    meters = _locked_meters(organization_id=subscription.organization_id)
    for meter in meters:
        if meter.ends_at <= timezone.now():
            quota.renew(meter, subscription, timezone.now())
    if must_fit and (exceeded := _exceeded(subscription, plan, meters)):
        words = ", ".join(f"{one['used']} {one['resource']} on {one['network']}" for one in exceeded)
        raise Problem("plan_too_small", f"{plan} is too small for {words}.", exceeded=exceeded)
    changes = {"plan": [subscription.plan_id, plan.pk]}
    subscription.plan = plan
    subscription.save(update_fields=["plan"])
    for meter in meters:
        _set_limit(meter, plan.messages_per_month)
    record("plan:changed", organization_id=subscription.organization_id, subject=subscription.pk, changes=changes)


def _exceeded(subscription: Subscription, plan: Plan, meters: list[Meter]) -> list[dict[str, Any]]:
    """What is used beyond a plan."""
    instances = count_instances(subscription.organization_id)
    uses = [("instances", network, used, plan.instances) for network, used in instances.items()]
    uses += [("messages", meter.network, meter.used, plan.messages_per_month) for meter in meters]
    names = ("resource", "network", "used", "limit")
    return [dict(zip(names, use, strict=True)) for use in uses if use[2] > use[3]]


def _locked_meters(**of: Any) -> list[Meter]:
    # In the order in which the send path locks them.
    return list(Meter.objects.select_for_update(no_key=True).filter(**of).order_by("organization_id", "network"))


def _set_limit(meter: Meter, limit: int) -> None:
    """Another limit has thresholds of its own, so that who moved to a larger plan is warned again."""
    meter.limit, meter.alert_at = limit, quota.first_alert(limit)
    meter.save(update_fields=["limit", "alert_at", "used", "starts_at", "ends_at"])


@transaction.atomic
def save_plan(*, plan: Plan) -> Plan:
    """For operators: create or change a plan; the meters of all who have it follow at once."""
    before = _locked_plan(plan.pk)
    plan.save()
    if before and before.messages_per_month != plan.messages_per_month:
        list(plan.subscriptions.select_for_update(no_key=True).order_by("pk").values_list("pk"))
        for meter in _locked_meters(organization__subscription__plan=plan):
            _set_limit(meter, plan.messages_per_month)
    values = {name: [getattr(before, name, None), getattr(plan, name)] for name in _PLAN_COLUMNS}
    if changes := {name: [old, new] for name, (old, new) in values.items() if old != new}:
        record("plan:edited" if before else "plan:created", organization_id=None, subject=plan.pk, changes=changes)
    return plan


@transaction.atomic
def extend(*, organization: Organization, until: datetime | None) -> Subscription:
    """For operators: let the subscription end at another moment, None for never. Idempotent.

    A later end resumes an organization that was suspended because it had expired; one in the past suspends it.
    """
    subscription = lock(organization.pk)
    old = subscription.expires_at
    if old != until:
        subscription.expires_at = until
        subscription.save(update_fields=["expires_at"])
        for meter in _locked_meters(organization=organization):
            meter.expires_at = until
            meter.save(update_fields=["expires_at"])
    _follow_expiry(subscription)
    if old != until:
        changes = {"expires_at": [iso(old), iso(until)]}
        record("subscription:extended", organization_id=organization.pk, subject=subscription.pk, changes=changes)
    return subscription


@transaction.atomic
def expire(*, organization_id: str) -> bool:
    """Suspend an organization whose subscription has ended; True if that was done. Idempotent."""
    return _follow_expiry(lock(organization_id))


def _follow_expiry(subscription: Subscription) -> bool:
    """Make the organization's suspension agree with its locked subscription; True if it was suspended."""
    organization = Organization.objects.get(pk=subscription.organization_id)
    if subscription.expires_at is not None and subscription.expires_at <= timezone.now():
        return organizations.suspend(organization=organization, reason=SuspensionReason.EXPIRED)
    if organization.suspended_reason == SuspensionReason.EXPIRED:
        organizations.resume(organization=organization)
    return False

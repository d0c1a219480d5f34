from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from accounts.models import Organization
from config.ids import TypeIDField

NETWORKS = ("sandbox", "whatsapp")  # each is metered for itself


class Plan(models.Model):
    """What an organization may use; operators edit the rows, through `subscriptions.services.save_plan`."""

    code = models.SlugField(primary_key=True, max_length=20)
    name = models.CharField(max_length=50)
    instances = models.PositiveIntegerField(help_text="Numbers on each network")
    messages_per_month = models.PositiveIntegerField(help_text="On each network")
    requests_per_minute = models.PositiveIntegerField(default=6_000, help_text="Of all keys and people together")
    message_retention_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Older messages are deleted. Empty: they are kept for ever",
    )
    position = models.PositiveSmallIntegerField(default=0, help_text="Place in the list of plans")
    is_public = models.BooleanField(default=True, help_text="Shown to everybody and open to choice")

    def __str__(self) -> str:
        return self.name


class Subscription(models.Model):
    """What one organization has subscribed to. Its row is the lock for everything that a plan limits.

    ``started_at`` is where the billing months are anchored and never changes. Locks are taken in the order
    plan, subscription, meters.
    """

    id = TypeIDField(prefix="sub", primary_key=True)
    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="subscription")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    started_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True, db_index=True, help_text="Empty: it never expires")

    def __str__(self) -> str:
        return f"{self.organization}: {self.plan}"


class Meter(models.Model):
    """How many messages an organization has sent on one network in its current billing month.

    ``limit`` and ``expires_at`` repeat the plan and the subscription, so that one statement on this row decides.
    The row moves on to the next month with the first message of that month.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="meters", db_index=False)
    network = models.CharField(max_length=10)
    used = models.PositiveIntegerField(default=0)
    limit = models.PositiveIntegerField()
    starts_at = models.DateTimeField(help_text="Begin of the billing month")
    ends_at = models.DateTimeField(help_text="End of the billing month, when it renews")
    expires_at = models.DateTimeField(null=True)
    alert_at = models.PositiveIntegerField(null=True, help_text="The use at which the next alert is due")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "network"], name="one_meter_for_each_network")]

    def __str__(self) -> str:
        return f"{self.organization_id} {self.network}: {self.used} of {self.limit}"


class DailyUsage(models.Model):
    """How many messages an instance accepted or received on one day in UTC, by type. Outlives the instance."""

    pk = models.CompositePrimaryKey("organization_id", "day", "instance", "type", "direction")
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    instance = TypeIDField(prefix="ins")
    type = models.CharField(max_length=20)
    direction = models.CharField(max_length=8)
    network = models.CharField(max_length=10)
    count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.day} {self.instance} {self.direction} {self.type}: {self.count}"


class UsageAlert(models.Model):
    """A meter reached ``percent`` of its limit; written by the transaction that got there, mailed afterwards."""

    id = TypeIDField(prefix="alr", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="usage_alerts")
    network = models.CharField(max_length=10)
    period_starts_at = models.DateTimeField()
    percent = models.PositiveSmallIntegerField()
    used = models.PositiveIntegerField()
    limit = models.PositiveIntegerField()
    renews_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True, help_text="Somebody is sending the e-mail until then")
    attempts = models.PositiveSmallIntegerField(default=0)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "network", "period_starts_at", "limit", "percent"],
                name="each_alert_once_a_month",
            )
        ]
        indexes = [
            models.Index(fields=["created_at"], name="alerts_to_mail", condition=models.Q(mailed_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} {self.network}: {self.percent} %"

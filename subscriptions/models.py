from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models import Organization
from config.ids import TypeIDField


class Plan(models.Model):
    """What an organization may use; operators edit the rows."""

    code = models.SlugField(primary_key=True, max_length=20)
    name = models.CharField(max_length=50)
    instances = models.PositiveIntegerField(help_text="Numbers at the same time")
    messages_per_month = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.name


class Subscription(models.Model):
    id = TypeIDField(prefix="sub", primary_key=True)
    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="subscription")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    started_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.organization}: {self.plan}"

from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models import Organization
from config.ids import TypeIDField
from instances.models import Instance


class Call(models.Model):
    """A call that an instance got. Written by the session worker's writer, but for ``text``."""

    class Status(models.TextChoices):
        RINGING = "ringing"
        REJECTING = "rejecting"
        REJECTED = "rejected"
        ENDED = "ended"
        MISSED = "missed"

    class Text(models.TextChoices):
        """What becomes of the text to the caller."""

        NONE = "none"
        OWED = "owed"
        GIVEN = "given"

    id = TypeIDField(prefix="cal", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", db_index=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="calls", db_index=False)
    wa_id = models.CharField(max_length=80, help_text="WhatsApp's id of the call")
    status = models.CharField(max_length=9, choices=Status.choices)
    reason = models.CharField(max_length=20, null=True, help_text="Why it ended")
    caller = models.CharField(max_length=60, help_text="JID of the caller as the offer had it")
    phone = models.CharField(max_length=20, null=True)
    lid = models.CharField(max_length=60, null=True)
    name = models.CharField(max_length=200, blank=True, default="")
    video = models.BooleanField()
    group = models.BooleanField()
    group_jid = models.CharField(max_length=60, null=True)
    text = models.CharField(max_length=5, choices=Text.choices, default=Text.NONE)
    at = models.DateTimeField(help_text="When it began, by WhatsApp's clock")
    ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "wa_id"], name="one_row_for_each_call")]
        indexes = [models.Index(fields=["instance", "-id"], name="calls_of_instance")]

    def __str__(self) -> str:
        return self.id

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Organization
from broadcasts.states import State
from config.ids import TypeIDField
from instances.models import Instance, Network
from messaging.models import Message


class Template(models.Model):
    """A message with ``{{variables}}``, kept for many sends: a payload without instance and recipient."""

    id = TypeIDField(prefix="tpl", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)
    message = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="one_template_of_a_name")]

    def __str__(self) -> str:
        return self.name


class Broadcast(models.Model):
    """One message to many recipients, each with variables of their own.

    ``message`` is a copy, so that an edit of the template changes no broadcast under way. ``next_at`` is when the
    feeder looks at it again, NULL when there is nothing to do. ``turn`` counts what the feeder did: whoever
    commits a turn has compared it, so that two feeders never take the same recipients.
    """

    id = TypeIDField(prefix="bct", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    network = models.CharField(max_length=10, choices=Network.choices)
    name = models.CharField(max_length=100, blank=True, default="")
    template = models.ForeignKey(Template, on_delete=models.SET_NULL, null=True, related_name="+")
    message = models.JSONField()
    state = models.CharField(max_length=9, choices=State.choices, default=State.DRAFT)
    reason = models.CharField(max_length=40, null=True, help_text="Why it is paused: user, or a problem's code")
    start_at = models.DateTimeField(null=True)
    per_minute = models.PositiveIntegerField(null=True)
    quiet_hours = models.JSONField(null=True, help_text="from, to, timezone")

    accepted = models.PositiveIntegerField(default=0)
    duplicate = models.PositiveIntegerField(default=0)
    invalid = models.PositiveIntegerField(default=0)
    opted_out = models.PositiveIntegerField(default=0)

    next_at = models.DateTimeField(null=True)
    turn = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-id"], name="broadcast_listing"),
            models.Index(fields=["next_at"], name="broadcast_due", condition=Q(next_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name or self.id

    @property
    def instances(self) -> list[Instance]:
        """Those it sends through; prefetch ``senders__instance``."""
        return [sender.instance for sender in self.senders.all()]


class Sender(models.Model):
    """An instance that a broadcast sends through."""

    broadcast = models.ForeignKey(Broadcast, on_delete=models.CASCADE, related_name="senders")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["broadcast", "instance"], name="one_sender_of_an_instance")]

    def __str__(self) -> str:
        return self.instance_id


class Recipient(models.Model):
    """Somebody a broadcast goes to.

    ``state`` is ``pending`` or ``skipped``, then the status of the message, which a trigger copies
    (broadcasts/triggers.py). The message may be gone when messages of its age were purged.
    """

    id = TypeIDField(prefix="rcp", primary_key=True)
    broadcast = models.ForeignKey(Broadcast, on_delete=models.CASCADE, related_name="recipients", db_index=False)
    to = models.CharField(max_length=60, help_text="JID")
    variables = models.JSONField()
    client_ref = models.CharField(max_length=200, null=True)
    state = models.CharField(max_length=11)
    error_code = models.CharField(max_length=40, null=True, help_text="Why it was skipped, or got no message")
    error_detail = models.CharField(max_length=500, null=True)
    message = models.OneToOneField(
        Message, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["broadcast", "to"], name="one_recipient_of_an_address")]
        indexes = [models.Index(fields=["broadcast", "state", "id"], name="recipient_state")]

    def __str__(self) -> str:
        return self.to


class OptOut(models.Model):
    """Somebody who wants no broadcasts from an organization, by phone number, LID, or both."""

    class Source(models.TextChoices):
        API = "api"
        STOP_WORD = "stop_word"

    id = TypeIDField(prefix="opt", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", db_index=False)
    network = models.CharField(max_length=10, choices=Network.choices)
    phone = models.CharField(max_length=20, null=True)
    lid = models.CharField(max_length=60, null=True)
    source = models.CharField(max_length=9, choices=Source.choices)
    instance = models.ForeignKey(Instance, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "network", "phone"],
                condition=Q(phone__isnull=False),
                name="one_opt_out_of_a_phone",
            ),
            models.UniqueConstraint(
                fields=["organization", "network", "lid"], condition=Q(lid__isnull=False), name="one_opt_out_of_a_lid"
            ),
            models.CheckConstraint(condition=Q(phone__isnull=False) | Q(lid__isnull=False), name="opt_out_of_somebody"),
        ]
        indexes = [models.Index(fields=["organization", "-id"], name="opt_out_listing")]

    def __str__(self) -> str:
        return self.phone or self.lid or ""


class Keywords(models.Model):
    """What an organization's contacts write to get no more broadcasts, or some again; without a row the defaults."""

    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, primary_key=True, related_name="+")
    stop = models.JSONField()
    start = models.JSONField()

    class Meta:
        verbose_name_plural = "keywords"

    def __str__(self) -> str:
        return f"Keywords of {self.organization_id}"

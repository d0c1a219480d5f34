from __future__ import annotations

import secrets
from functools import partial

from django.db import models
from django.utils import timezone

from accounts.models import Organization
from config.ids import TypeIDField
from instances.models import Instance
from messaging.states import Direction, Status

SECRET_BYTES = 32


class Message(models.Model):
    """A message sent or received by an instance: the ledger's row, committed before anything else happens."""

    id = TypeIDField(prefix="msg", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="messages")
    direction = models.CharField(max_length=8, choices=Direction.choices)
    status = models.CharField(max_length=11, choices=Status.choices)
    type = models.CharField(max_length=20)
    content = models.JSONField()
    chat = models.CharField(max_length=60, help_text="JID of the person or group; the phone's if it is known")
    chat_lid = models.CharField(max_length=60, null=True)
    sender_phone = models.CharField(max_length=20, null=True)
    sender_lid = models.CharField(max_length=60, null=True)
    sender_name = models.CharField(max_length=200, blank=True, default="")
    from_phone = models.BooleanField(default=False, help_text="Written on the number's own phone, not through us")

    wa_id = models.CharField(max_length=80, null=True, help_text="WhatsApp's id of the message")
    secret = models.BinaryField(
        max_length=SECRET_BYTES, default=partial(secrets.token_bytes, SECRET_BYTES), editable=False
    )
    client_ref = models.CharField(max_length=200, null=True)
    error_code = models.CharField(max_length=40, null=True)
    error_detail = models.CharField(max_length=500, null=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "wa_id", "direction"],
                condition=models.Q(wa_id__isnull=False),
                name="one_row_for_each_whatsapp_id",
            )
        ]
        indexes = [
            models.Index(fields=["instance", "id"], name="lane", condition=models.Q(status__in=["queued", "sending"])),
            models.Index(fields=["organization", "-id"], name="listing"),
            models.Index(fields=["instance", "chat", "-id"], name="conversation"),
        ]

    def __str__(self) -> str:
        return self.id


class EarlyReceipt(models.Model):
    """A receipt for a message whose id is not in the ledger yet; it is applied when the id arrives."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    wa_id = models.CharField(max_length=80)
    kind = models.CharField(max_length=10)
    at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["instance", "wa_id"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.wa_id}"

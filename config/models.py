from __future__ import annotations

from django.db import models
from django.utils import timezone

from config.fields import EncryptedTextField


class IdempotencyKey(models.Model):
    """A request that must have its effect once, and the answer it got; config/api/idempotency.py says how it is used.

    Held while ``locked_until`` is set, done when it is NULL. ``body`` is the answer's data as JSON.
    """

    scope = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    locked_until = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)
    body = EncryptedTextField(null=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="one_request_per_key")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"

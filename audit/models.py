from __future__ import annotations

from django.db import models
from django.db.models import Q

from config.ids import TypeIDField

PLATFORM = "platform"
NO_HASH = "0" * 64  # what the first entry of a chain has as its previous hash


class Chain(models.Model):
    """The head of one chain. Its row lock, held until commit, makes the order of commits the order of sequences."""

    name = models.CharField(max_length=40, primary_key=True, help_text="An organization's id, or platform")
    sequence = models.BigIntegerField(help_text="That of the last entry")
    hash = models.CharField(max_length=64, help_text="That of the last entry")

    def __str__(self) -> str:
        return self.name


class Entry(models.Model):
    """One act. Written by ``services.record`` only; triggers refuse to change or remove it.

    ``hash`` covers all other columns (``hashing.digest``), among them ``previous``, the hash of the entry before it.
    No foreign keys: an entry outlives everything it speaks of.
    """

    id = TypeIDField(prefix="aud", primary_key=True)
    organization_id = TypeIDField(prefix="org", null=True, help_text="Empty for acts outside of organizations")
    sequence = models.BigIntegerField(help_text="1, 2, 3 … within the chain")
    tag = models.CharField(max_length=100, help_text="source:subject:verb, such as api:key:created")
    actor_kind = models.CharField(max_length=12)
    actor_id = models.CharField(max_length=40, blank=True)
    actor_name = models.CharField(max_length=254, blank=True)
    address = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=128, blank=True)
    subject = models.CharField(max_length=200, blank=True, help_text="The id of what was acted upon")
    changes = models.JSONField()
    at = models.DateTimeField()
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.UniqueConstraint(fields=["organization_id", "sequence"], name="audit_sequence"),
            models.UniqueConstraint(
                fields=["sequence"], condition=Q(organization_id__isnull=True), name="audit_platform_sequence"
            ),
        ]
        indexes = [
            models.Index(fields=["organization_id", "subject"], name="audit_subject"),
            models.Index(fields=["organization_id", "actor_id"], name="audit_actor"),
            models.Index(fields=["request_id"], name="audit_request"),
        ]

    def __str__(self) -> str:
        return f"{self.tag} {self.subject}".strip()

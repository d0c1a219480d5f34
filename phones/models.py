from __future__ import annotations

from django.db import models

from accounts.models import Organization
from config.ids import TypeIDField


class VirtualPhone(models.Model):
    """A made-up number of one organization; no other organization can have or reach it."""

    id = TypeIDField(prefix="phn", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    phone = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.phone})"

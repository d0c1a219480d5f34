"""Simulated phones: the primary devices of the accounts."""

from .phone import Phone
from .records import Received

__all__ = ["Phone", "Received"]

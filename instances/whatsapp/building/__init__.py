"""From messages in the words of the API to the client library's protobuf messages."""

from __future__ import annotations

from instances.whatsapp.building.messages import build
from instances.whatsapp.building.outbound import Named, Outbound

__all__ = ["Named", "Outbound", "build"]

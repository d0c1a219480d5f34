"""What apps add to the OpenAPI document: each is called with it. Only web processes import what makes the document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

additions: list[Callable[[dict[str, Any]], None]] = []

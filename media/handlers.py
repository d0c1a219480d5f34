"""What higher floors want to know of files; they add to these lists at start-up. Called inside the transaction."""

from __future__ import annotations

from collections.abc import Callable

from media.models import Media, Rendition

# A rendition became ready or failed.
prepared: list[Callable[[Rendition], None]] = []
# A file became stored, failed or expired.
settled: list[Callable[[Media], None]] = []

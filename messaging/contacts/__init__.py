"""All that is kept of one person by an instance: handed out, and erased."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from messaging.contacts.selectors import Somebody

# Apps of higher floors register here: what else is kept of a person, as ``{"kind", "data"}``; and what deletes a part
# of it in the caller's transaction, which is True if there may be more.
exporting: list[Callable[[Somebody], Iterator[dict[str, Any]]]] = []
erasing: list[Callable[[Somebody], bool]] = []

"""What higher floors do for this one; they put it here at start-up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from accounts.actor import Actor

# Raises Problem for an instance that the actor may not see.
instance_checks: list[Callable[[Actor, str], object]] = []


def check_instances(actor: Actor, instance_ids: Iterable[str]) -> None:
    """Raises Problem ``not_found``, ``test_key_on_live`` or ``live_key_on_sandbox``, as where one instance is named."""
    for instance_id in instance_ids:
        for check in instance_checks:
            check(actor, instance_id)

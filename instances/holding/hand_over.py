from __future__ import annotations

from instances.states import State
from instances.whatsapp.news import StateChange

HAND_OVER_SECONDS = 60.0


def as_holder_sees_it(change: StateChange, epoch: int, held_seconds: float) -> StateChange:
    """What a change means to the holder of an epoch.

    Soon after a take-over the other client may be the one before us: frozen for longer than its lease, it
    connects once more before it notices. That ends by itself; the number must not end with it.
    """
    if change.state == State.REPLACED and epoch > 1 and held_seconds < HAND_OVER_SECONDS:
        return StateChange(State.RECONNECTING, "connection_lost", "the holder before was still there")
    return change

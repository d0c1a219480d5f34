from __future__ import annotations

from instances.states import State
from instances.whatsapp.news import StateChange

HAND_OVER_SECONDS = 60.0


def as_holder_sees_it(
    change: StateChange, epoch: int, held_seconds: float, forgiven_seconds: float | None = None
) -> StateChange:
    """What a change means to the holder of an epoch, who has forgiven one so many seconds ago, or never (None).

    The other client may be the holder before us: frozen for longer than its lease, it can connect once more before it
    notices. That ends by itself; the number must not end with it. So soon after a take-over it is forgiven as often as
    it happens, and later once: whoever comes back within a minute is somebody else.
    """
    forgivable = held_seconds < HAND_OVER_SECONDS or forgiven_seconds is None or forgiven_seconds > HAND_OVER_SECONDS
    if change.state == State.REPLACED and epoch > 1 and forgivable:
        return StateChange(State.RECONNECTING, "connection_lost", "the holder before was still there")
    return change

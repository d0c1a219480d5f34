"""What happens to the connection itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from instances.states import State
from instances.whatsapp.news import StateChange
from instances.whatsapp.protos import proto
from instances.whatsapp.translating.values import text

_LONGEST_BAN_SECONDS = 10 * 365 * 86_400


def banned(raw: bytes) -> StateChange:
    ban = proto.TemporaryBan.FromString(raw)
    name = proto.TemporaryBan.TempBanReason.Name(ban.Code) if ban.HasField("Code") else "unknown"
    seconds = min(ban.Expire, _LONGEST_BAN_SECONDS)
    until = datetime.now(UTC) + timedelta(seconds=seconds) if seconds > 0 else None
    return StateChange(State.BANNED, "temporary_ban", name.lower().replace("_", " "), until)


def refused(raw: bytes) -> StateChange:
    failure = proto.ConnectFailure.FromString(raw)
    detail = f"{text(failure.Message, 200) or 'no message'} (reason {failure.Reason})"
    return StateChange(State.FAILED, "refused", detail)

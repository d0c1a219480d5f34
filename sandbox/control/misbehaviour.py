"""Faults, and what the network holds."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import msgspec

from sandbox.errors import BadArguments
from sandbox.model import Device, Faults

from .base import Methods


class MisbehaviourMethods(Methods):
    def drop(self, phone: str, device: int | None = None) -> int:
        """Cut the connections of linked clients; returns how many."""
        cut = [d.session for d in self._devices(phone, device) if d.session]
        for session in cut:
            session.abort()
        return len(cut)

    def stream_error(
        self,
        phone: str,
        device: int | None = None,
        code: int | None = None,
        conflict: Literal["replaced", "device_removed"] | None = None,
    ) -> None:
        """End the sessions with a <stream:error>."""
        for d in self._devices(phone, device):
            self._network.stream_error(d, code, conflict)

    def logout(self, phone: str, device: int | None = None) -> None:
        """The phone's user removes linked devices."""
        for d in self._devices(phone, device):
            self._network.remove_device(d)

    def faults(self, phone: str = "", **values: Any) -> dict[str, Any]:
        """Change faults of an account, or of the whole network without `phone`; returns all of them."""
        if not isinstance(phone, str):
            raise BadArguments("phone is a string")
        account = self._account(phone) if phone else None
        faults = account.faults if account else self._network.faults
        names = {f.name for f in dataclasses.fields(Faults)}
        if unknown := values.keys() - names:
            raise BadArguments(f"no fault {', '.join(sorted(unknown))}")
        try:
            checked = msgspec.convert(values, Faults)
        except msgspec.ValidationError as e:
            raise BadArguments(str(e)) from e
        for name in values:
            setattr(faults, name, getattr(checked, name))
        if account:
            self._network.save_account(account)
        return dataclasses.asdict(faults)

    def media_error(self, status: int) -> None:
        """Answer every upload and download with this HTTP status; 0 ends it."""
        if status and not 400 <= status <= 599:
            raise BadArguments("status is 0 or 400 to 599")
        self._network.media.error = status

    def state(self) -> dict[str, Any]:
        """What the network holds, for tests and the curious."""
        net = self._network
        return {
            "messages": net.messages,
            "sessions": len(net.sessions),
            "groups": {str(g.jid): g.subject for g in net.groups.values()},
            "accounts": {
                a.number: {str(d.number): _device(d) for d in a.devices.values()} for a in net.accounts.values()
            },
        }


def _device(d: Device) -> dict[str, Any]:
    about = {"connected": d.session is not None, "active": d.active, "online": d.online, "name": d.name}
    return about | {"queued": len(d.queue), "prekeys": len(d.prekeys)}

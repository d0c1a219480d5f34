"""The control API without its socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.control import Control, dispatch
from sandbox.errors import ControlError
from sandbox.network import Network

ALICE, BOB, CHARLIE = "491700000001", "491700000002", "491700000003"


class Caller:
    """Calls methods as the socket does."""

    def __init__(self, network: Network) -> None:
        self.network, self.control = network, Control(network)

    async def __call__(self, method: str, **arguments: Any) -> Any:
        result = await dispatch(self.control, method, json.dumps(arguments).encode())
        return json.loads(json.dumps(result))

    async def refusal(self, method: str, **arguments: Any) -> tuple[int, str]:
        with pytest.raises(ControlError) as caught:
            await self(method, **arguments)
        assert "\n" not in str(caught.value)
        return caught.value.status, caught.value.code

    async def received(self, phone: str) -> list[dict[str, Any]]:
        return (await self("messages", phone=phone))["results"]

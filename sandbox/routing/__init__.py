"""Where the stanzas of a device go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.model import Device
from sandbox.wire import Node

from .confirmations import on_ack, on_receipt
from .messages import on_message
from .signs import on_call, on_chatstate, on_presence

if TYPE_CHECKING:
    from sandbox.network import Network

HANDLERS: dict[str, Callable[[Network, Device, Node], None]] = {
    "message": on_message,
    "receipt": on_receipt,
    "ack": on_ack,
    "presence": on_presence,
    "chatstate": on_chatstate,
    "call": on_call,
}

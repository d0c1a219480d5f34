"""The protobuf classes that neonize ships, without its shared library: any process may import this.

The generated modules import one another as top-level packages from neonize's folder ``proto``; the binding
of the library does so too, so both see the same classes.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet


class EngineMissing(RuntimeError):
    """neonize is not installed, or lacks its library for this platform."""


def package_folder() -> str:
    """Where neonize is installed, found without importing it. Raises EngineMissing."""
    spec = importlib.util.find_spec("neonize")
    if spec is None or not spec.submodule_search_locations:
        raise EngineMissing("neonize is not installed")
    return spec.submodule_search_locations[0]


if (_folder := os.path.join(package_folder(), "proto")) not in sys.path:
    sys.path.append(_folder)

import Neonize_pb2 as proto  # noqa: E402
from waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps  # noqa: E402
from waE2E.WAWebProtobufsE2E_pb2 import (  # noqa: E402
    EventResponseMessage,
    Message,
    PollVoteMessage,
    ReactionMessage,
)
from waHistorySync.WAWebProtobufsHistorySync_pb2 import HistorySync  # noqa: E402

__all__ = [
    "DeviceProps",
    "EngineMissing",
    "EventResponseMessage",
    "HistorySync",
    "Message",
    "PollVoteMessage",
    "ReactionMessage",
    "package_folder",
    "parts",
    "proto",
]


def parts(raw: bytes, number: int) -> list[bytes]:
    """The length-delimited fields of this number, unparsed: also of what is nested too deeply to be parsed."""
    fields: Any = UnknownFieldSet(Empty.FromString(raw))
    return [field.data for field in fields if field.field_number == number and field.wire_type == 2]

"""Loads neonize's binding and its protobuf classes, and nothing else of the package.

``import neonize`` would also load Pillow, requests, libmagic and a log thread that calls
``logging.basicConfig``: 1.6 s and 20 MB that no session needs. So the package objects are put into
``sys.modules`` without running their ``__init__``; the binding itself is neonize's own module.
The import must come after every fork: the Go runtime does not survive one.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types


class EngineMissing(RuntimeError):
    """neonize is not installed, or lacks its library for this platform."""


def _bare_package(name: str, folder: str) -> None:
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package


def _load() -> str:
    spec = importlib.util.find_spec("neonize")
    if spec is None or not spec.submodule_search_locations:
        raise EngineMissing("neonize is not installed")
    folder = spec.submodule_search_locations[0]
    # Without this check neonize would try to download the library.
    if not any(name.endswith((".so", ".dylib", ".dll")) for name in os.listdir(folder)):
        raise EngineMissing(f"neonize has no library for this platform in {folder}")
    if "neonize" not in sys.modules:
        _bare_package("neonize", folder)
        _bare_package("neonize.utils", os.path.join(folder, "utils"))
    # The generated modules import one another as top-level packages.
    sys.path.append(os.path.join(folder, "proto"))
    return folder


if os.environ.get("NEONIZE_BOT_TAG") != "off":
    raise EngineMissing("start the process with NEONIZE_BOT_TAG=off, or each text is marked as sent by a bot")

_load()

import Neonize_pb2 as proto  # noqa: E402
from neonize._binder import (  # noqa: E402
    func_callback_bytes,
    func_callback_bytes2,
    func_string,
    gocode,
)
from waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps  # noqa: E402
from waE2E.WAWebProtobufsE2E_pb2 import Message  # noqa: E402

__all__ = [
    "DeviceProps",
    "EngineMissing",
    "Message",
    "func_callback_bytes",
    "func_callback_bytes2",
    "func_string",
    "gocode",
    "proto",
]

"""Loads neonize's binding and its protobuf classes, and nothing else of the package.

``import neonize`` would also load Pillow, requests, libmagic and a log thread that calls
``logging.basicConfig``: 1.6 s and 20 MB that no session needs. So the package objects are put into
``sys.modules`` without running their ``__init__``; the binding itself is neonize's own module.
The import must come after every fork: the Go runtime does not survive one.
"""

from __future__ import annotations

import os
import sys
import types
from typing import Any

from instances.whatsapp.jids import Jid
from instances.whatsapp.protos import DeviceProps, EngineMissing, Message, package_folder, proto


def _bare_package(name: str, folder: str) -> None:
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package


def _load() -> None:
    folder = package_folder()
    # Without this check neonize would try to download the library.
    if not any(name.endswith((".so", ".dylib", ".dll")) for name in os.listdir(folder)):
        raise EngineMissing(f"neonize has no library for this platform in {folder}")
    if "neonize" not in sys.modules:
        _bare_package("neonize", folder)
        _bare_package("neonize.utils", os.path.join(folder, "utils"))


if os.environ.get("NEONIZE_BOT_TAG") != "off":
    raise EngineMissing("start the process with NEONIZE_BOT_TAG=off, or each text is marked as sent by a bot")

_load()

from neonize._binder import _CProxySettings as CProxySettings  # noqa: E402
from neonize._binder import (  # noqa: E402
    func_callback_bytes,
    func_callback_bytes2,
    func_string,
    gocode,
)


def jid_message(jid: Jid) -> Any:
    """As the library's calls take it."""
    return proto.JID(User=jid.user, Server=jid.server, Device=jid.device, RawAgent=0, Integrator=0, IsEmpty=False)


__all__ = [
    "CProxySettings",
    "DeviceProps",
    "EngineMissing",
    "Message",
    "func_callback_bytes",
    "func_callback_bytes2",
    "func_string",
    "gocode",
    "jid_message",
    "proto",
]

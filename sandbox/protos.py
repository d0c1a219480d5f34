"""The protobuf classes that neonize ships, without loading neonize's shared library.

`import neonize.anything` runs neonize/__init__.py, which loads the Go library.  Its generated
modules import each other as top level packages from neonize/proto, so that folder on sys.path
is enough; and neonize puts it there too, so both see the same module objects.
"""

import importlib.util
import sys
from pathlib import Path


def package_dir() -> Path:
    """Where neonize is installed (found without importing it)."""
    spec = importlib.util.find_spec("neonize")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("neonize is not installed")
    return Path(spec.submodule_search_locations[0])


_proto = str(package_dir() / "proto")
if _proto not in sys.path:
    sys.path.append(_proto)

from waAdv.WAAdv_pb2 import (  # noqa: E402
    ADVDeviceIdentity,
    ADVSignedDeviceIdentity,
    ADVSignedDeviceIdentityHMAC,
)
from waCert.WACert_pb2 import CertChain  # noqa: E402
from waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps  # noqa: E402
from waE2E.WAWebProtobufsE2E_pb2 import EventResponseMessage, Message, PollVoteMessage  # noqa: E402
from waHistorySync.WAWebProtobufsHistorySync_pb2 import HistorySync  # noqa: E402
from waServerSync.WAWebProtobufsServerSync_pb2 import SyncdMutation, SyncdPatch  # noqa: E402
from waSyncAction.WAWebProtobufSyncAction_pb2 import SyncActionData, SyncActionValue  # noqa: E402
from waVnameCert.WAWebProtobufsVnameCert_pb2 import VerifiedNameCertificate  # noqa: E402
from waWa6.WAWebProtobufsWa6_pb2 import ClientPayload, HandshakeMessage  # noqa: E402

__all__ = [
    "ADVDeviceIdentity",
    "ADVSignedDeviceIdentity",
    "ADVSignedDeviceIdentityHMAC",
    "CertChain",
    "ClientPayload",
    "DeviceProps",
    "EventResponseMessage",
    "HandshakeMessage",
    "HistorySync",
    "Message",
    "PollVoteMessage",
    "SyncActionData",
    "SyncActionValue",
    "SyncdMutation",
    "SyncdPatch",
    "VerifiedNameCertificate",
    "package_dir",
]

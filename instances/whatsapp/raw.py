"""The protobuf of a message as JSON, without what opens anything else."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from instances.whatsapp.protos import Message

SECRETS = frozenset({
    "messageSecret", "botMessageSecret", "mediaKey", "ephemeralSharedSecret", "encKey",
    "senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage", "appStateSyncKeyShare",
    "groupRootKeyShare", "rootSecretDistributeMessage", "sharedDeviceContactHashKeyShare",
})  # fmt: skip


def raw_json(serialized: bytes) -> dict[str, Any] | None:
    """A serialized waE2E.Message: field names as in its definition, bytes in base64, 64-bit numbers as text.

    Keys and secrets are left out, at any depth. None if it cannot be read.
    """
    try:
        message = Message.FromString(serialized)
        _strip(message)
        found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (DecodeError, ValueError, RecursionError):
        return None
    return found


def _strip(message: Any) -> None:
    for field, value in message.ListFields():
        if field.name in SECRETS:
            message.ClearField(field.name)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for one in value if field.is_repeated else [value]:
                _strip(one)

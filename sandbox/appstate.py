"""Synchronised settings ("app state"): the encrypted patches that devices of one account share.

Protocol facts
--------------
* Five collections; each is a sequence of patches with versions 1, 2, ..; the server stores them
  blindly and refuses (409) a patch that is not based on the newest version.
* The phone gives a new device the keys in an AppStateSyncKeyShare message; then the device
  fetches every collection.  The push name, which a client needs before it can announce its
  presence, arrives as mutation ["setting_pushName"] of the collection "critical_block".
* Keys: HKDF(key, info="WhatsApp Mutation Keys", 160) -> index, value, value MAC, snapshot MAC,
  patch MAC.  A patch carries a MAC over the sum (LTHash) of all values, one over itself, and for
  every mutation one over the index and one over the value.
"""

from __future__ import annotations

import hmac
import json
import os
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from .crypto import hkdf
from .protos import SyncActionData, SyncdMutation, SyncdPatch
from .signal_protocol import aes_cbc

EMPTY_HASH = bytes(128)


def _lthash(state: bytes, value_mac: bytes, sign: int) -> bytes:
    """Add or subtract 64 little-endian 16 bit numbers."""
    term = hkdf(value_mac, 128, info=b"WhatsApp Patch Integrity")
    pairs = zip(struct.unpack("<64H", state), struct.unpack("<64H", term), strict=True)
    return struct.pack("<64H", *((a + sign * b) & 0xFFFF for a, b in pairs))


@dataclass
class Collection:
    """The server's side: patches in order; and what the phone, which wrote them, needs to write the next."""

    patches: list[bytes] = field(default_factory=list)
    hash: bytes = EMPTY_HASH
    value_macs: dict[bytes, bytes] = field(default_factory=dict)  # index MAC -> value MAC

    @property
    def version(self) -> int:
        return len(self.patches)

    def append(self, patch: bytes) -> None:
        """The server numbers the patches."""
        numbered = SyncdPatch.FromString(patch)
        numbered.version.version = self.version + 1
        self.patches.append(numbered.SerializeToString())


class Settings:
    """How a phone writes settings.  It must be the only one to write a collection."""

    def __init__(self, key_id: bytes, key: bytes) -> None:
        self._key_id = key_id
        okm = hkdf(key, 160, info=b"WhatsApp Mutation Keys")
        self._index_key, self._value_key, self._value_mac_key, self._snapshot_key, self._patch_key = (
            okm[i : i + 32] for i in range(0, 160, 32)
        )

    def write(self, name: str, collection: Collection, changes: list[tuple[list[str], Any, bool]]) -> None:
        """Append a patch with changes (index, SyncActionValue, whether it is set or removed)."""
        patch = SyncdPatch()
        patch.keyID.ID = self._key_id
        macs = b"".join(self._mutate(patch, collection, *change) for change in changes)
        tail = (collection.version + 1).to_bytes(8, "big") + name.encode()
        patch.snapshotMAC = hmac.digest(self._snapshot_key, collection.hash + tail, "sha256")
        patch.patchMAC = hmac.digest(self._patch_key, patch.snapshotMAC + macs + tail, "sha256")
        collection.append(patch.SerializeToString())

    def _mutate(self, patch: Any, collection: Collection, index: list[str], value: Any, is_set: bool) -> bytes:
        """Add one change to a patch; returns its value MAC."""
        index_json = json.dumps(index, separators=(",", ":")).encode()
        value.timestamp = int(time.time() * 1000)
        action = SyncActionData(index=index_json, value=value, padding=b"", version=1).SerializeToString()
        iv = os.urandom(16)
        content = iv + aes_cbc(self._value_key, iv, action)
        operation, length = (b"\x01" if is_set else b"\x02"), (len(self._key_id) + 1).to_bytes(8, "big")
        value_mac = hmac.digest(self._value_mac_key, operation + self._key_id + content + length, "sha512")[:32]
        mutation = patch.mutations.add(operation=SyncdMutation.SET if is_set else SyncdMutation.REMOVE)
        index_mac = hmac.digest(self._index_key, index_json, "sha256")
        mutation.record.index.blob, mutation.record.value.blob = index_mac, content + value_mac
        mutation.record.keyID.ID = self._key_id
        if before := collection.value_macs.pop(index_mac, None):
            collection.hash = _lthash(collection.hash, before, -1)
        if is_set:
            collection.hash = _lthash(collection.hash, value_mac, 1)
            collection.value_macs[index_mac] = value_mac
        return value_mac

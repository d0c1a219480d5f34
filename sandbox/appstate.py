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


def lthash_add(state: bytes, value_mac: bytes) -> bytes:
    """Sum of 64 little-endian 16 bit numbers."""
    term = hkdf(value_mac, 128, info=b"WhatsApp Patch Integrity")
    pairs = zip(struct.unpack("<64H", state), struct.unpack("<64H", term), strict=True)
    return struct.pack("<64H", *((a + b) & 0xFFFF for a, b in pairs))


def first_patch(collection: str, key_id: bytes, key: bytes, index: list[str], value: Any) -> bytes:
    """A collection's version 1, with one setting; `value` is a SyncActionValue."""
    okm = hkdf(key, 160, info=b"WhatsApp Mutation Keys")
    index_key, value_key, value_mac_key, snapshot_key, patch_key = (okm[i : i + 32] for i in range(0, 160, 32))
    index_json = json.dumps(index, separators=(",", ":")).encode()
    value.timestamp = int(time.time() * 1000)
    action = SyncActionData(index=index_json, value=value, padding=b"", version=1).SerializeToString()
    iv = os.urandom(16)
    content = iv + aes_cbc(value_key, iv, action)
    length = (len(key_id) + 1).to_bytes(8, "big")
    value_mac = hmac.digest(value_mac_key, b"\x01" + key_id + content + length, "sha512")[:32]
    tail = (1).to_bytes(8, "big") + collection.encode()  # the version

    patch = SyncdPatch()
    patch.keyID.ID = key_id
    mutation = patch.mutations.add(operation=SyncdMutation.SET)
    mutation.record.index.blob = hmac.digest(index_key, index_json, "sha256")
    mutation.record.value.blob = content + value_mac
    mutation.record.keyID.ID = key_id
    state = lthash_add(EMPTY_HASH, value_mac)
    patch.snapshotMAC = hmac.digest(snapshot_key, state + tail, "sha256")
    patch.patchMAC = hmac.digest(patch_key, patch.snapshotMAC + value_mac + tail, "sha256")
    return bytes(patch.SerializeToString())


@dataclass
class Collection:
    """The server's side: patches in order."""

    patches: list[bytes] = field(default_factory=list)

    @property
    def version(self) -> int:
        return len(self.patches)

    def append(self, patch: bytes) -> None:
        """The server numbers the patches."""
        numbered = SyncdPatch.FromString(patch)
        numbered.version.version = self.version + 1
        self.patches.append(numbered.SerializeToString())

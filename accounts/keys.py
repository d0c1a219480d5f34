"""API keys: ``wak_MODE_`` + 12 characters that find the row + 32 secret characters + 6 of a CRC32.

The prefix and the checksum let secret scanners recognise a key offline. Base62, so a double click
selects all of it. The secret part has 190 bits: its plain SHA-512 is safe at rest.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from django.utils.crypto import get_random_string
from rest_framework_api_key.crypto import KeyGenerator
from rest_framework_api_key.models import BaseAPIKeyManager

if TYPE_CHECKING:
    from accounts.models import ApiKey

PREFIX_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 32, 6
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def checksum(text: str) -> str:
    """The CRC32 of the text in six base62 digits."""
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits


def lookup_prefix(key: str) -> str | None:
    """The part of a key that finds its row, or None for a text that cannot be a key of ours."""
    parts = key.split("_")
    if len(parts) != 3 or parts[0] != "wak" or parts[1] not in ("test", "live"):
        return None
    body = parts[2]
    right_size = len(body) == PREFIX_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH
    if not right_size or not body.isascii() or checksum(key[:-CHECKSUM_LENGTH]) != body[-CHECKSUM_LENGTH:]:
        return None
    return body[:PREFIX_LENGTH]


class ApiKeyManager(BaseAPIKeyManager):
    key_generator = KeyGenerator(PREFIX_LENGTH, SECRET_LENGTH)

    def assign_key(self, obj: ApiKey) -> str:  # type: ignore[override]
        """Give a new row its key; returns the key, which cannot be had again."""
        prefix, secret = self.key_generator.get_prefix(), get_random_string(SECRET_LENGTH)
        start = f"wak_{obj.mode}_{prefix}{secret}"
        key = start + checksum(start)
        obj.prefix, obj.hashed_key = prefix, self.key_generator.hash(key)
        return key

    def get_from_key(self, key: str) -> ApiKey:
        """The usable row of a key, in one query. Raises ApiKey.DoesNotExist."""
        prefix = lookup_prefix(key)
        usable = self.get_usable_keys().select_related("organization")
        row = usable.filter(prefix=prefix).first() if prefix else None
        if row is None or row.has_expired or not self.key_generator.verify(key, row.hashed_key):
            raise self.model.DoesNotExist  # type: ignore[attr-defined]
        return row

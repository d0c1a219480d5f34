"""Binary XML, the stanza encoding of WhatsApp ("WABinary").

Protocol facts
--------------
* A frame is one flag byte (bit 1: the rest is zlib compressed) and one node.
* A node is a list: tag, then attribute names and values, then an optional content, so the
  list's size is 1 + 2 * attributes + (1 if there is content).
* Strings are dictionary tokens (one or two bytes), packed digits/hex, or raw bytes.
* JIDs have encodings of their own, and the client checks the type: an attribute it expects to
  be a JID must not be sent as a plain string.  A user JID with a device number is an "AD JID":
  domain byte (0 phone number, 1 LID, 128/129 hosted), device byte, user.
* Content is a list of nodes or bytes; text content is bytes.
* The client announces its dictionary's version in the connection header; version 3 here.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_TOKENS = json.loads(Path(__file__).with_name("tokens.json").read_text())
_SINGLE: list[str] = _TOKENS["single"]
_DOUBLE: list[list[str]] = _TOKENS["double"]
_INDEX: dict[str, bytes] = {
    token: bytes([236 + d, i]) for d, page in enumerate(_DOUBLE) for i, token in enumerate(page)
} | {token: bytes([i]) for i, token in enumerate(_SINGLE) if token}

_LIST_EMPTY, _DICT0, _DICT3 = 0, 236, 239
_INTEROP, _FB, _AD, _LIST8, _LIST16, _PAIR = 245, 246, 247, 248, 249, 250
_HEX8, _BIN8, _BIN20, _BIN32, _NIBBLE8 = 251, 252, 253, 254, 255

_NIBBLE_TEXT, _HEX_TEXT = re.compile(r"[0-9.\-]{1,127}"), re.compile(r"[0-9A-F]{1,127}")
_TO_HEX, _FROM_HEX = str.maketrans("-.", "ab"), str.maketrans("ab", "-.")
_DOMAINS = {"s.whatsapp.net": 0, "lid": 1, "hosted": 128, "hosted.lid": 129}
_SERVERS = {v: k for k, v in _DOMAINS.items()}

MAX_SIZE = 1 << 24  # bytes of a stanza, after decompression
MAX_DEPTH = 64  # nodes within nodes; real stanzas have less than ten levels

PN, LID, GROUP, NEWSLETTER, BROADCAST = "s.whatsapp.net", "lid", "g.us", "newsletter", "broadcast"


class WireError(ValueError):
    """The bytes are not a stanza, or the stanza has no encoding."""


class Jid(NamedTuple):
    user: str
    server: str = PN
    device: int = 0

    @property
    def bare(self) -> Jid:
        return self._replace(device=0) if self.device else self

    def __str__(self) -> str:
        user = f"{self.user}:{self.device}" if self.device else self.user
        return f"{user}@{self.server}" if user else self.server

    @classmethod
    def parse(cls, text: str) -> Jid:
        """Inverse of `str`; raises WireError."""
        user, _, server = text.rpartition("@")
        user, _, device = user.partition(":")
        if not server or (device and not (device.isascii() and device.isdigit())):
            raise WireError(f"not a JID: {text!r}")
        return cls(user, server, int(device or 0))


SERVER, STATUS = Jid("", PN), Jid("status", BROADCAST)
Value = str | int | Jid


@dataclass(slots=True)
class Node:
    """One stanza or a part of one.  Decoded attribute values are `str` or `Jid`, never `int`."""

    tag: str
    attrs: dict[str, Value] = field(default_factory=dict)
    content: list[Node] | bytes | None = None

    def __iter__(self) -> Iterator[Node]:
        return iter(self.content if isinstance(self.content, list) else ())

    def find(self, *path: str) -> Node | None:
        """The first descendant along a path of tags."""
        node: Node | None = self
        for tag in path:
            node = next((child for child in node or () if child.tag == tag), None)
        return node

    def all(self, tag: str) -> list[Node]:
        return [child for child in self if child.tag == tag]

    def data(self, *path: str) -> bytes:
        """Binary content of a descendant, empty if there is none."""
        node = self.find(*path)
        return node.content if node and isinstance(node.content, bytes) else b""

    def jid(self, name: str) -> Jid:
        """An attribute that must be a JID; raises WireError."""
        value = self.attrs.get(name)
        if not isinstance(value, Jid):
            raise WireError(f"<{self.tag}> has no JID {name!r}")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """An attribute as text; raises WireError if it is missing and there is no default."""
        value = self.attrs.get(name, default)
        if value is None:
            raise WireError(f"<{self.tag}> has no {name!r}")
        return str(value)

    def number(self, name: str, default: int | None = None) -> int:
        """An attribute as a whole number; raises WireError as `text` does, and for anything else."""
        value = self.attrs.get(name, default)
        try:
            return int(str(value))
        except ValueError:
            raise WireError(f"<{self.tag}> has no number {name!r}") from None

    def optional_jid(self, name: str) -> Jid | None:
        return self.jid(name) if name in self.attrs else None

    def __str__(self) -> str:
        attrs = "".join(f' {k}="{v}"' for k, v in self.attrs.items())
        if self.content is None:
            return f"<{self.tag}{attrs}/>"
        if isinstance(self.content, bytes):
            text = self.content if len(self.content) <= 40 else self.content[:40] + b"..."
            return f"<{self.tag}{attrs}>{text!r}</{self.tag}>"
        return f"<{self.tag}{attrs}>{''.join(map(str, self.content))}</{self.tag}>"


def node(tag: str, *content: Node | bytes | str | None, **attrs: Value | None) -> Node:
    """Build a node: `node("iq", child, type="result", from_=SERVER)`.

    None children and attributes are left out; a trailing underscore is dropped from names.
    """
    clean = {k.rstrip("_"): v for k, v in attrs.items() if v is not None}
    children: list[Node] = []
    for part in content:
        if isinstance(part, str):
            return Node(tag, clean, part.encode())
        if isinstance(part, bytes):
            return Node(tag, clean, part)
        if part is not None:
            children.append(part)
    return Node(tag, clean, children or None)


# --- encoding -------------------------------------------------------------------------------


def encode(root: Node) -> bytes:
    """Uncompressed frame of a stanza; raises WireError if something has no encoding."""
    out = bytearray(b"\0")
    _write_node(out, root)
    return bytes(out)


def _write_list(out: bytearray, size: int) -> None:
    if size == 0:
        out.append(_LIST_EMPTY)
    elif size < 256:
        out += bytes((_LIST8, size))
    elif size < 1 << 16:
        out += bytes((_LIST16, size >> 8, size & 255))
    else:
        raise WireError(f"a list of {size}")


def _write_node(out: bytearray, n: Node) -> None:
    content = n.content
    _write_list(out, 1 + 2 * len(n.attrs) + (content is not None))
    out += _string(n.tag)
    for key, value in n.attrs.items():
        out += _string(key)
        if isinstance(value, str):
            out += _string(value)
        else:
            out += _jid(value) if isinstance(value, Jid) else _string(str(value))
    if isinstance(content, bytes):
        out += _blob_head(len(content))
        out += content
    elif content is not None:
        _write_list(out, len(content))
        for child in content:
            _write_node(out, child)


# The same names, ids and JIDs occur in one stanza after the other.
@lru_cache(8192)
def _jid(jid: Jid) -> bytes:
    if jid.device:
        if jid.server not in _DOMAINS or not 0 < jid.device < 256:
            raise WireError(f"no encoding for the JID {jid}")
        return bytes((_AD, _DOMAINS[jid.server], jid.device)) + _string(jid.user)
    user = _string(jid.user) if jid.user else bytes((_LIST_EMPTY,))
    return bytes((_PAIR,)) + user + _string(jid.server)


@lru_cache(8192)
def _string(text: str) -> bytes:
    if token := _INDEX.get(text):
        return token
    if _NIBBLE_TEXT.fullmatch(text):
        return _packed(_NIBBLE8, text.translate(_TO_HEX))
    if _HEX_TEXT.fullmatch(text):
        return _packed(_HEX8, text)
    data = text.encode()
    return _blob_head(len(data)) + data


def _packed(kind: int, digits: str) -> bytes:
    """Two digits a byte; an odd end is filled with 15 and flagged."""
    odd = len(digits) & 1
    return bytes((kind, (len(digits) + odd) // 2 | odd << 7)) + bytes.fromhex(digits + "f" * odd)


def _blob_head(size: int) -> bytes:
    if size < 256:
        return bytes((_BIN8, size))
    if size < 1 << 20:
        return bytes((_BIN20,)) + size.to_bytes(3, "big")
    return bytes((_BIN32,)) + size.to_bytes(4, "big")


# --- decoding -------------------------------------------------------------------------------


def decode(frame: bytes) -> Node:
    """The stanza in a frame; raises WireError for anything that is not exactly one stanza."""
    if not frame:
        raise WireError("empty frame")
    data = frame[1:]
    if frame[0] & 2:
        inflate = zlib.decompressobj()
        try:
            data = inflate.decompress(data, MAX_SIZE)
        except zlib.error as e:
            raise WireError("damaged compression") from e
        if not inflate.eof:
            raise WireError("truncated or oversized compression")
    reader = _Reader(data)
    try:
        stanza = reader.node(0)
    except IndexError:
        raise WireError("truncated stanza or unknown token") from None
    if reader.pos != len(data):
        raise WireError("data after the stanza")
    return stanza


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.pos = data, 0

    def byte(self) -> int:
        value = self.data[self.pos]  # an IndexError is for `decode` to catch: this is the busiest line
        self.pos += 1
        return value

    def take(self, size: int) -> bytes:
        end = self.pos + size
        if end > len(self.data):
            raise WireError("truncated stanza")
        piece, self.pos = self.data[self.pos : end], end
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def node(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise WireError("nested too deeply")
        kind = self.byte()
        if kind == _LIST8:
            size = self.byte()
        elif kind == _LIST16:
            size = self.number(2)
        else:
            raise WireError(f"not a node: {kind}")
        if not size:
            raise WireError("a node without a tag")
        tag = self.string(self.byte())
        attrs: dict[str, Value] = {}
        for _ in range((size - 1) // 2):
            name = self.string(self.byte())
            attrs[name] = self.attribute()
        return Node(tag, attrs, None if size % 2 else self.content(depth))

    def content(self, depth: int) -> list[Node] | bytes:
        kind = self.byte()
        if kind == _LIST_EMPTY:
            return []
        if kind in (_LIST8, _LIST16):
            count = self.byte() if kind == _LIST8 else self.number(2)
            return [self.node(depth + 1) for _ in range(count)]
        if kind in (_BIN8, _BIN20, _BIN32):
            return self.blob(kind)
        return self.string(kind).encode()

    def attribute(self) -> str | Jid:
        kind = self.byte()
        if kind == _PAIR:
            user = self.byte()
            return Jid("" if user == _LIST_EMPTY else self.string(user), self.string(self.byte()))
        if kind == _AD:
            domain, device = self.byte(), self.byte()
            if domain not in _SERVERS:
                raise WireError(f"unknown JID domain {domain}")
            return Jid(self.string(self.byte()), _SERVERS[domain], device)
        if kind in (_FB, _INTEROP):  # Messenger and interoperability users: kept for logs only
            name, number = self.string(self.byte()), self.number(2)
            if kind == _INTEROP:
                self.number(2)
            return Jid(name, self.string(self.byte()), number)
        return "" if kind == _LIST_EMPTY else self.string(kind)

    def blob(self, kind: int) -> bytes:
        if kind == _BIN20:
            return self.take(self.number(3) & 0xFFFFF)
        return self.take(self.number(1 if kind == _BIN8 else 4))

    def string(self, kind: int) -> str:
        if 0 < kind < _DICT0:
            return _SINGLE[kind]
        if _DICT0 <= kind <= _DICT3:
            return _DOUBLE[kind - _DICT0][self.byte()]
        if kind in (_BIN8, _BIN20, _BIN32):
            try:
                return self.blob(kind).decode()
            except UnicodeDecodeError as e:
                raise WireError("not UTF-8") from e
        if kind in (_NIBBLE8, _HEX8):
            head = self.byte()
            return _unpack(kind, head > 127, self.take(head & 127))
        raise WireError(f"not a string: {kind}")


@lru_cache(8192)
def _unpack(kind: int, odd: bool, packed: bytes) -> str:
    digits = packed.hex()
    if odd:
        if digits[-1:] != "f":
            raise WireError("badly filled digits")
        digits = digits[:-1]
    if kind == _HEX8:
        return digits.upper()
    if not set(digits) <= set("0123456789ab"):
        raise WireError("not digits")
    return digits.translate(_FROM_HEX)

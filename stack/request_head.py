"""Reads, checks and rewrites the head of an HTTP/1 request. What two readers could take differently is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEAD = 64 * 1024
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_REQUEST = re.compile(
    rb"(%b{1,32}) ([\x21-\x7e]+) HTTP/1\.([01])\r\n(?:%b++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n" % (_TOKEN, _TOKEN)
)
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_DIGITS = re.compile(rb"[0-9]{1,15}")
_AUTHORITY = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
# Only the splitter says who the client is.
_SPOOFABLE = (b"forwarded", b"x-real-ip")
_SOCKET = re.compile(rb"/ws(?:[/?]|$)")
_POLL = re.compile(rb"/api/events(?:\?|$)")  # may wait, which would hold a thread of granian's


class RefusedError(Exception):
    """The request cannot be passed on; the connection is answered with `status` and closed."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(frozen=True, slots=True)
class Head:
    """``rewritten`` goes to the backend; then ``length`` bytes of body, or, if ``chunked``, all that follows.

    ``live`` is for daphne, and a ``handshake`` is that of a WebSocket.
    """

    rewritten: bytes
    live: bool
    handshake: bool
    length: int
    chunked: bool


def find_end(buffer: bytes) -> int:
    """The index after the head, 0 if it is not complete yet. Raises RefusedError if it never can be."""
    end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end >= 0:
        return end + 4
    if len(buffer) >= MAX_HEAD:
        raise RefusedError(431, f"The request's head is longer than {MAX_HEAD} bytes.")
    if _BARE_LINE_FEED.search(buffer):
        raise RefusedError(400, "A line of the request's head ends without a carriage return.")
    return 0


def read_head(head: bytes, client: bytes) -> Head:
    """`head` ends with its empty line; `client` is the address to report. Raises RefusedError."""
    match = _REQUEST.fullmatch(head)
    if match is None:
        raise RefusedError(400, "The request's head is malformed.")
    method, target, minor = match.groups()
    request_line, *lines = head[:-4].split(b"\r\n")
    kept = [request_line]
    connection_lines: list[bytes] = []
    lengths: list[bytes] = []
    encodings: list[bytes] = []
    hosts = 0
    upgrade = b""
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.lower()
        # WSGI does not tell X_Forwarded_For from X-Forwarded-For.
        if name.startswith(b"x-forwarded-") or name in _SPOOFABLE or b"_" in name:
            continue
        if name == b"connection":
            connection_lines.append(line)
            continue
        if name == b"content-length":
            lengths.append(value.strip(b" \t"))
        elif name == b"transfer-encoding":
            encodings.append(value.strip(b" \t").lower())
        elif name == b"host":
            hosts += 1
        elif name == b"upgrade":
            upgrade = value.strip(b" \t").lower()
        kept.append(line)
    if hosts > 1 or (hosts == 0 and minor == b"1"):
        raise RefusedError(400, "A request needs exactly one Host.")
    if method == b"CONNECT":
        raise RefusedError(400, "CONNECT is not served here.")
    length, chunked = _body(lengths, encodings, minor)
    path = _AUTHORITY.sub(b"", target, count=1)
    handshake = _SOCKET.match(path) is not None
    if handshake and (method != b"GET" or upgrade != b"websocket" or length or chunked or not connection_lines):
        raise RefusedError(426, "This address speaks WebSocket only.")
    if chunked:
        # Where its body ends is for the backend to find; nothing after it may pass for a request of its own.
        kept.append(b"Connection: close")
    else:
        kept += connection_lines
    kept += (b"X-Forwarded-For: " + client, b"X-Forwarded-Proto: http", b"", b"")
    live = handshake or _POLL.match(path) is not None
    return Head(b"\r\n".join(kept), live, handshake, length, chunked)


def _body(lengths: list[bytes], encodings: list[bytes], minor: bytes) -> tuple[int, bool]:
    if encodings:
        if encodings != [b"chunked"] or lengths or minor == b"0":
            raise RefusedError(400, "The request's length is ambiguous.")
        return 0, True
    if len(lengths) > 1 or (lengths and not _DIGITS.fullmatch(lengths[0])):
        raise RefusedError(400, "The request's Content-Length is not one number.")
    return (int(lengths[0]) if lengths else 0), False

"""Headers of their own that tenants have sent with each delivery."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_HEADERS = 20
MAX_CHARACTERS = 4096
NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"  # a token of RFC 9110
VALUE = r"^[!-~]([ -~]*[!-~])?$"
# What we set, what belongs to a connection or the form of a message, and what proxies act upon.
_OURS = frozenset(
    {
        "accept-encoding", "connection", "date", "expect", "forwarded", "host", "keep-alive", "te", "trailer",
        "transfer-encoding", "upgrade", "user-agent", "via", "x-request-id",
    }
)  # fmt: skip
_OUR_PREFIXES = ("content-", "proxy-", "webhook-", "x-forwarded-")


class InvalidHeader(ValueError):
    """``name`` is that of the header, empty if it is about all of them; ``code`` says what is wrong."""

    def __init__(self, name: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.name, self.code = name, code


def check(headers: Mapping[str, str]) -> None:
    """Raises InvalidHeader for the first thing that is wrong."""
    if len(headers) > MAX_HEADERS:
        raise InvalidHeader("", "too_many_headers", f"At most {MAX_HEADERS} headers.")
    for name, value in headers.items():
        if not re.fullmatch(NAME, name):
            raise InvalidHeader(name, "invalid_header", "This cannot be the name of a header.")
        if name.lower() in _OURS or name.lower().startswith(_OUR_PREFIXES):
            raise InvalidHeader(name, "reserved_header", "This header is set by us, or belongs to the connection.")
        if not re.fullmatch(VALUE, value):
            raise InvalidHeader(name, "invalid_header", "A value has printable ASCII characters, no spaces around it.")
    if len({name.lower() for name in headers}) < len(headers):
        raise InvalidHeader("", "repeated_header", "A name stands there twice.")
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_CHARACTERS:
        raise InvalidHeader("", "headers_too_long", f"All names and values have at most {MAX_CHARACTERS} characters.")

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from rest_framework.parsers import BaseParser

_CHUNK = 256 * 1024


class CsvParser(BaseParser):
    """Gives the lines of the body as they come in: a large table is never in memory whole."""

    media_type = "text/csv"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        return _lines(stream)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    # Not by `readline`: the web server's body reads on behind the first line and forgets the rest.
    rest = b""
    while chunk := stream.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest

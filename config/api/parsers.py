from __future__ import annotations

from itertools import chain
from typing import IO, Any

import orjson
from rest_framework import parsers

from config.api.problems import Problem

MAX_DEPTH = 50  # far more than any body needs; what looks into bodies by calling itself stays within Python's limit


class JSONParser(parsers.JSONParser):
    """JSON to the letter: the standard library's parser lets lone surrogates pass and fails on deep nesting."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Raises Problem ``malformed_json``."""
        try:
            body = orjson.loads(stream.read())
        except orjson.JSONDecodeError as error:
            raise Problem("malformed_json", f"{error}.") from error
        if _is_deeper(body, MAX_DEPTH):
            raise Problem("malformed_json", f"It is nested more than {MAX_DEPTH} times.")
        return body


def _is_deeper(value: Any, most: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(most + 1):
        inside = chain.from_iterable(one.values() if isinstance(one, dict) else one for one in level)
        level = [one for one in inside if isinstance(one, dict | list)]
        if not level:
            return False
    return True

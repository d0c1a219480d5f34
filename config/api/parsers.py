from __future__ import annotations

from typing import IO, Any

import orjson
from rest_framework import parsers

from config.api.problems import Problem


class JSONParser(parsers.JSONParser):
    """JSON to the letter: the standard library's parser lets lone surrogates pass and fails on deep nesting."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Raises Problem ``malformed_json``."""
        try:
            return orjson.loads(stream.read())
        except orjson.JSONDecodeError as error:
            raise Problem("malformed_json", f"{error}.") from error

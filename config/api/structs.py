"""What msgspec says of input that does not fit, as the errors of the API."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from config.api.problems import FieldError, Problem, escaped

_AT = re.compile(r"(?P<words>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")


def field_error(text: str, within: str = "") -> FieldError:
    """What msgspec says of one field. ``within`` is the JSON pointer of what it was given."""
    match = _AT.fullmatch(text)
    words, path = (match["words"], match["path"] or "") if match else (text, "")
    pointer = within + path.replace(".", "/").replace("[", "/").replace("]", "")
    if unknown := _UNKNOWN.fullmatch(words):
        return FieldError(f"{pointer}/{escaped(unknown['name'])}", "unknown_field", "This field is not known here.")
    if missing := _MISSING.fullmatch(words):
        return FieldError(f"{pointer}/{missing['name']}", "required", "This field is required.")
    return FieldError(pointer, "invalid", f"{words.rstrip('.')}.")


def not_valid(error: msgspec.ValidationError, within: str = "") -> Problem:
    """The 400 that names the field."""
    return Problem("invalid_request", "Some fields are not valid.", errors=[field_error(str(error), within)])


def with_whole_numbers(value: Any) -> Any:
    """A JSON value for msgspec to convert: in JSON 3.0 is a whole number."""
    if isinstance(value, dict):
        return {name: with_whole_numbers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

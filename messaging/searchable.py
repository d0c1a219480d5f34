"""The words of a message, for the full-text search."""

from __future__ import annotations

from typing import Any

_FIELDS = ("body", "caption", "filename", "name", "question", "description", "address")


def text_of(type_: str, content: Any) -> str:
    """What a message of a type is found by: the texts that people read in it, in lines."""
    if type_ == "text" and content.keys() == {"body"}:
        return str(content["body"])
    lines: list[str] = []
    _collect(content, lines)
    return "\n".join(lines)


def _collect(value: Any, lines: list[str]) -> None:
    if isinstance(value, dict):
        lines += [value[name] for name in _FIELDS if isinstance(value.get(name), str) and value[name]]
        for inner in value.values():
            if isinstance(inner, dict | list):
                _collect(inner, lines)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, str):
                lines.append(inner)  # the options of a poll
            else:
                _collect(inner, lines)

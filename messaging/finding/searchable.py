"""The words of a message, for the full-text search: how texts are cut into words, in any script.

The databases get words that are normalized and separated by single spaces, so that PostgreSQL and SQLite find the same.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

MOST_WORDS = 10_000  # of one message
LONGEST_WORD = 64
_FIELDS = ("body", "caption", "filename", "name", "question", "description", "address", "formatted_name")
_ASCII = re.compile(r"[a-z0-9]+")
# Accents of Latin, Greek and Cyrillic, and the points of Hebrew and Arabic, are written or left out at will.
_OPTIONAL_MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u0652]")
# Scripts without spaces between words: each character is a word of its own.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_ALONE = re.compile(f"[{_UNSPACED}]")


def words_of(text: str) -> list[str]:
    """The words of a text in their order: lower case, without optional marks; emoji count as words."""
    if text.isascii():
        found = _ASCII.findall(text.lower())
    else:
        text = _OPTIONAL_MARKS.sub("", unicodedata.normalize("NFKD", text.casefold()))
        text = "".join(map(_separated, unicodedata.normalize("NFKC", text).casefold()))
        found = text.split()
    return [word[:LONGEST_WORD] for word in found[:MOST_WORDS]]


def _separated(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "So" or (kind[0] in "LNM" and _ALONE.match(character)):
        return f" {character} "
    # The variation selectors of emoji are marks as well, and part of no word.
    return character if kind[0] in "LNM" and not "\ufe00" <= character <= "\ufe0f" else " "


def text_of(type_: str, content: Any) -> str:
    """What a message of a type is found by: the words that people read in it, separated by spaces."""
    if type_ == "text" and content.keys() == {"body"}:
        return " ".join(words_of(str(content["body"])))
    lines: list[str] = []
    _collect(content, lines)
    return " ".join(words_of("\n".join(lines)))


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

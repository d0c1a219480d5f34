"""The bodies of sends: parsed with msgspec, which costs a fraction of a serializer on the hot path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

import msgspec

from config.api.problems import FieldError, Problem, escaped
from config.api.structs import not_valid, with_whole_numbers
from messaging.accepting.orders import Outgoing
from messaging.kinds.outgoing import outgoing
from messaging.kinds.sends import NOT_OFFERED, AnySend, Envelope, SendText

MAX_BATCH = 1000

_NO_TYPE = "Object missing required field `type`"
_NOT_WHOLE = "Expected `int`, got `float`"
_WRONG_TYPE = re.compile(r"Invalid value '(?P<type>\w+)' - at `\$\.type`")


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    messages: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


T = TypeVar("T")
_send: msgspec.json.Decoder[AnySend] = msgspec.json.Decoder(AnySend)
_text: msgspec.json.Decoder[SendText] = msgspec.json.Decoder(SendText)
_batch: msgspec.json.Decoder[Batch] = msgspec.json.Decoder(Batch)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    """Raises Problem ``malformed_json`` or ``invalid_request``."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise not_valid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed_json", str(error)) from error


def _envelope(body: bytes | msgspec.Raw) -> Envelope:
    """The type is text when none is given. Raises Problem, ``unsupported_by_engine`` too."""
    try:
        return _send.decode(body)
    except msgspec.ValidationError as error:
        words = str(error)
        if words == _NO_TYPE:
            return _decode(_text, body)
        if words.startswith(_NOT_WHOLE):
            return _with_whole_numbers(body)
        if (wrong := _WRONG_TYPE.fullmatch(words)) and wrong["type"] in NOT_OFFERED:
            detail = "WhatsApp shows these only from its own business platforms; docs/messages/README.md says more."
            raise Problem("unsupported_by_engine", detail) from error
        raise not_valid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed_json", str(error)) from error


def _with_whole_numbers(body: bytes | msgspec.Raw) -> Envelope:
    """Raises Problem ``invalid_request`` or ``malformed_json``."""
    try:
        return msgspec.convert(with_whole_numbers(msgspec.json.decode(body)), AnySend)
    except msgspec.ValidationError as error:
        raise not_valid(error) from error
    except (msgspec.DecodeError, RecursionError) as error:  # of fields that the first look did not come to
        raise Problem("malformed_json", str(error)) from error


def _null_characters(value: Any, pointer: str) -> Iterator[FieldError]:
    if isinstance(value, str):
        if "\x00" in value:
            yield FieldError(pointer, "null_characters_not_allowed", "Null characters are not allowed.")
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _null_characters(inner, f"{pointer}/{escaped(name)}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _null_characters(inner, f"{pointer}/{place}")


def parse(body: bytes | msgspec.Raw) -> Outgoing:
    """One message. Raises Problem ``malformed_json``, ``invalid_request`` or ``unsupported_by_engine``."""
    send = _envelope(body)
    raw = body if isinstance(body, bytes) else bytes(body)
    if b"\\u0000" in raw and (errors := [*_null_characters(msgspec.to_builtins(send), "")]):
        raise Problem("invalid_request", "Null characters are not allowed.", errors=errors)
    return outgoing(send)


def parse_batch(body: bytes) -> list[Outgoing | Problem]:
    """Many messages; what is wrong with one stands in its place. Raises Problem if the list itself is not one."""
    parsed: list[Outgoing | Problem] = []
    for raw in _decode(_batch, body).messages:
        try:
            parsed.append(parse(raw))
        except Problem as problem:
            parsed.append(problem)
    return parsed

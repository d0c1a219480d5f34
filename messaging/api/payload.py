"""The bodies of sends: parsed with msgspec, which costs a fraction of a serializer on the hot path."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

from config.api.problems import Problem, invalid
from config.api.structs import not_valid
from instances.whatsapp.jids import RECIPIENT, InvalidJid, recipient
from messaging.orders import Outgoing

MAX_BATCH = 1000

_NO_NULL = {"pattern": r"^[^\u0000]*$"}  # for descriptions of the API; checked below


class Text(msgspec.Struct, forbid_unknown_fields=True):
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=4096, extra_json_schema=_NO_NULL)]


class Send(msgspec.Struct, forbid_unknown_fields=True):
    instance: str
    to: Annotated[str, msgspec.Meta(min_length=1, max_length=80, extra_json_schema={"pattern": RECIPIENT})]
    text: Text
    type: Literal["text"] = "text"
    client_ref: Annotated[str, msgspec.Meta(min_length=1, max_length=200, extra_json_schema=_NO_NULL)] | None = None


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    messages: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


T = TypeVar("T")
_send: msgspec.json.Decoder[Send] = msgspec.json.Decoder(Send)
_batch: msgspec.json.Decoder[Batch] = msgspec.json.Decoder(Batch)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    """Raises Problem ``malformed_json`` or ``invalid_request``."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise not_valid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("malformed_json", str(error)) from error


def parse(body: bytes | msgspec.Raw) -> Outgoing:
    """One message. Raises Problem ``malformed_json`` or ``invalid_request``."""
    send = _decode(_send, body)
    for pointer, text in {"/text/body": send.text.body, "/client_ref": send.client_ref or ""}.items():
        if "\x00" in text:
            raise invalid(pointer, "null_characters_not_allowed", "Null characters are not allowed.")
    try:
        to = recipient(send.to)
    except InvalidJid as error:
        raise invalid("/to", "invalid_recipient", "This is neither a phone number nor a JID.") from error
    return Outgoing(send.instance, to, send.type, {"body": send.text.body}, send.client_ref)


def parse_batch(body: bytes) -> list[Outgoing | Problem]:
    """Many messages; what is wrong with one stands in its place. Raises Problem if the list itself is not one."""
    parsed: list[Outgoing | Problem] = []
    for raw in _decode(_batch, body).messages:
        try:
            parsed.append(parse(raw))
        except Problem as problem:
            parsed.append(problem)
    return parsed

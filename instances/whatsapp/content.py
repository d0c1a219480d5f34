"""Builds the protobuf messages that are sent."""

from __future__ import annotations

from typing import Any

from instances.whatsapp.library import Message


def build(type_: str, content: dict[str, Any], secret: bytes) -> Any:
    """The message for a type and content in the words of the API.

    ``secret`` (32 bytes) is stored by the library together with the message's id before it is sent,
    which settles later whether it was.
    """
    message = Message()
    message.messageContextInfo.messageSecret = secret
    if type_ != "text":
        raise ValueError(f"messages of type {type_!r} cannot be built")
    message.extendedTextMessage.text = content["body"]
    return message

"""The files of a message to many: found, and links made rows, once and not for every recipient."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from accounts.actor import Actor
from config.api.problems import Problem
from media import services as media
from media.references import MediaRef

_FIELDS = ("id", "link", "filename", "mime_type")


def named_by_id(actor: Actor, message: dict[str, Any]) -> dict[str, Any]:
    """The message with files of ours in the place of links; a link with a variable is fetched for its recipient.

    Raises Problem ``invalid_request`` for a file that is not there or cannot be sent so.
    """
    message = deepcopy(message)
    parts = [(pointer, type_, part) for pointer, type_, part in _files(message) if "{{" not in part.get("link", "")]
    refs = [MediaRef(_kind(type_, part), **_fixed(part)) for _, type_, part in parts]
    for (pointer, _, part), file in zip(parts, media.admit(actor, refs) if refs else (), strict=True):
        if isinstance(file, Problem):
            errors = [error._replace(pointer=f"/message{pointer}") for error in file.errors]
            raise Problem(file.code, file.detail, errors=errors)
        if part.pop("link", None):
            part.pop("mime_type", None)
            part["id"] = file.id
    return message


def _files(message: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Pointer, type and description of every file that the message names."""
    type_ = message.get("type", "text")
    parts = [(f"/{type_}", type_, message[type_])]
    if type_ == "album":
        items = enumerate(message["album"]["items"])
        parts = [(f"/album/items/{place}", item["type"], item) for place, item in items]
    return [part for part in parts if isinstance(part[2], dict) and ("link" in part[2] or "id" in part[2])]


def _fixed(part: dict[str, Any]) -> dict[str, str]:
    """How the file is named for all; a filename with a variable is its message's own."""
    return {name: part[name] for name in _FIELDS if name in part and "{{" not in part[name]}


def _kind(type_: str, part: dict[str, Any]) -> str:
    return next((kind for kind in ("gif", "round", "voice") if part.get(kind)), type_)

"""What no single field can say: rules between fields, and which types go to whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import UNSET

from config.api.problems import FieldError, Problem
from instances.whatsapp.jids import (
    BROADCAST,
    GROUP,
    NEWSLETTER,
    STATUS,
    InvalidJid,
    InvalidPhoneNumber,
    Jid,
    person,
    recipient,
)
from messaging.kinds import sends
from messaging.kinds.contents import File, Part
from messaging.kinds.sends import Envelope, SendText

FILES = frozenset({"image", "video", "audio", "document", "sticker"})
TO_STATUS = frozenset({"text", "image", "video", "audio", "revoke"})
TO_CHANNELS = frozenset({"text", "edit", "revoke"})
# Codes of refusals that the description of the API cannot tell, since they depend on several fields.
CODES = frozenset(
    {
        "invalid_phone_number",
        "not_for_this_recipient",
        "only_in_groups",
        "only_in_status",
        "only_for_voice",
        "one_of_two",
        "duplicate",
        "range",
        "required_together",
    }
)
# Beyond these a moment of another time zone has no name in UTC, or phones show nonsense.
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_WORDS = {
    "invalid_recipient": "This is neither a phone number nor a JID.",
    "invalid_phone_number": "No country has such a phone number.",
}


def jid_of(text: str, pointer: str, *, to: bool = False) -> Jid:
    """A recipient, or a person. Raises Problem ``invalid_request``."""
    try:
        return recipient(text) if to else person(text)
    except InvalidJid as error:
        code = "invalid_phone_number" if isinstance(error, InvalidPhoneNumber) else "invalid_recipient"
        raise Problem("invalid_request", _WORDS[code], errors=[FieldError(pointer, code, _WORDS[code])]) from error


def check(send: Envelope, type_: str, to: Jid) -> None:
    """Raises Problem ``invalid_request`` with every rule that is broken, or ``unsupported_by_engine``."""
    _check_engine(type_, to)
    if errors := [*_for_recipient(send, type_, to), *_between_fields(send, type_)]:
        raise Problem("invalid_request", "Some fields do not go together.", errors=errors)


def _check_engine(type_: str, to: Jid) -> None:
    if to.server == BROADCAST and to != STATUS:
        raise Problem("unsupported_by_engine", "The WhatsApp engine cannot send to broadcast lists.")
    if to.server == NEWSLETTER and (type_ in FILES or type_ == "album"):
        raise Problem("unsupported_by_engine", "The WhatsApp engine cannot send files to channels.")


def _for_recipient(send: Envelope, type_: str, to: Jid) -> Iterator[FieldError]:
    status, channel = to == STATUS, to.server == NEWSLETTER
    if (status and type_ not in TO_STATUS) or (channel and type_ not in TO_CHANNELS):
        where = "a status" if status else "a channel"
        yield FieldError("/to", "not_for_this_recipient", f"A message of this type cannot go to {where}.")
        return
    if status or channel:
        for name in ("context", "expires_in", "mentions", "mention_all", "view_once"):
            if getattr(send, name, UNSET) is not UNSET:
                yield FieldError(f"/{name}", "not_for_this_recipient", "Only in chats with people and groups.")
    elif getattr(send, "mention_all", UNSET) is True and to.server != GROUP:
        yield FieldError("/mention_all", "only_in_groups", "Only in groups.")
    if not status and getattr(send, "audience", UNSET) is not UNSET:
        yield FieldError("/audience", "only_in_status", "Only with `to` being `status`.")
    if not status and isinstance(send, SendText) and send.text.background is not UNSET:
        yield FieldError("/text/background", "only_in_status", "Only with `to` being `status`.")


def _between_fields(send: Envelope, type_: str) -> Iterator[FieldError]:
    if type_ in FILES:
        yield from file_errors(getattr(send, type_), f"/{type_}")
    match send:
        case sends.SendVideo(video=video) if video.gif is True and video.round is True:
            yield FieldError("/video/round", "one_of_two", "A video is either a GIF or a round note.")
        case sends.SendAudio(view_once=True, audio=audio) if audio.voice is not True:
            yield FieldError("/view_once", "only_for_voice", "Only a voice note can be heard once.")
        case sends.SendPoll(poll=poll):
            for place, option in enumerate(poll.options):
                if option in poll.options[:place]:
                    yield FieldError(f"/poll/options/{place}", "duplicate", "This option is there already.")
            if poll.selectable > len(poll.options):
                yield FieldError("/poll/selectable", "range", "There are not so many options.")
        case sends.SendEvent(event=event):
            yield from _moment_errors(event, "/event", "starts_at", "ends_at")
            if event.ends_at is not UNSET and event.ends_at <= event.starts_at:
                yield FieldError("/event/ends_at", "range", "It must end after it starts.")
            where = event.location
            if where is not UNSET and (where.latitude is UNSET) != (where.longitude is UNSET):
                yield FieldError("/event/location", "required_together", "Give both latitude and longitude.")
        case sends.SendGroupInvite(group_invite=invite):
            yield from _moment_errors(invite, "/group_invite", "expires_at")
        case sends.SendEdit(edit=edit) if (edit.text is UNSET) == (edit.caption is UNSET):
            yield FieldError("/edit", "one_of_two", "Give either `text` or `caption`.")
        case sends.SendAlbum(album=album):
            for place, item in enumerate(album.items):
                yield from file_errors(item, f"/album/items/{place}")


def _moment_errors(content: Part, pointer: str, *names: str) -> Iterator[FieldError]:
    for name in names:
        moment = getattr(content, name)
        if moment is not UNSET and not _FIRST <= moment < _LAST:
            yield FieldError(f"{pointer}/{name}", "range", "A moment lies between 1970 and 2100.")


def file_errors(file: File, pointer: str) -> Iterator[FieldError]:
    if (file.id is not UNSET) + (file.link is not UNSET) + (file.data is not UNSET) != 1:
        yield FieldError(pointer, "one_source", "Give exactly one of `id`, `link` and `data`.")
    elif file.data is not UNSET and (len(file.data) % 4 or not _BASE64.fullmatch(file.data)):
        yield FieldError(f"{pointer}/data", "invalid_base64", "This is not base64.")

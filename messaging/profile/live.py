"""What a session worker does for a number's own profile, by live command. Loaded there only.

All of it may be repeated: it sets what is wanted, whatever was before.
"""

from __future__ import annotations

from typing import Any

from config.api.problems import Problem
from instances.holding import attachments
from instances.holding.attachments import Held
from instances.whatsapp.jids import parse
from media import renditions, storing
from media.converting.job import Job, Refused
from media.models import Media, Status
from messaging.contacts.live import lid_of

_PICTURE_BYTES, _PICTURE_SECONDS = 100_000, 20.0


def profile(held: Held, arguments: dict[str, Any]) -> dict[str, Any]:
    """``{jid}`` of the number itself: ``{name, business_name, about, picture: {id, url} or None}``."""
    account, jid = held.account, parse(arguments["jid"])
    names, picture = account.names(), account.picture(jid, preview=False)
    shown = {"about": account.user_info(jid).about, "picture": picture._asdict() if picture else None}
    return names._asdict() | shown


def set_profile(held: Held, arguments: dict[str, Any]) -> dict[str, Any]:
    """``{jid, name, about}``, None for what stays; answers as `profile`."""
    if arguments["name"] is not None:
        held.account.set_name(arguments["name"])
        held.announce()
    if arguments["about"] is not None:
        held.account.set_about(arguments["about"])
    return profile(held, arguments)


def set_picture(held: Held, arguments: dict[str, Any]) -> dict[str, Any]:
    """``{media}``, made a square JPEG in a process of its own: ``{id}``. Raises Problem ``media_unusable``."""
    return {"id": held.account.set_picture(_square(arguments["media"]))}


def _square(media_id: str) -> bytes:
    media = Media.objects.filter(pk=media_id, status=Status.STORED).first()
    if media is None:
        raise Problem("media_not_stored")
    try:
        with storing.workplace() as folder, storing.on_disk(media.file, folder) as source:
            target = folder / "made"
            job = Job("profile_picture", media.mime_type, str(source), str(target), _PICTURE_BYTES)
            renditions.convert(job, folder, _PICTURE_SECONDS)
            return target.read_bytes()
    except Refused as refused:
        raise Problem("media_unusable", refused.detail) from refused
    except FileNotFoundError as error:
        raise Problem("media_not_stored") from error


def presence(held: Held, arguments: dict[str, Any]) -> None:
    """``{available}``, until the connection ends."""
    held.presence(available=arguments["available"])


def privacy(held: Held, arguments: dict[str, Any]) -> dict[str, str | None]:
    """The value of each setting."""
    return held.account.privacy()


def set_privacy(held: Held, arguments: dict[str, Any]) -> dict[str, str | None]:
    """``{settings: {name: value}, disappearing_seconds}``, None for what stays; answers as `privacy`."""
    for name, value in arguments["settings"].items():
        held.account.set_privacy(name, value)
    if arguments["disappearing_seconds"] is not None:
        held.account.set_disappearing(arguments["disappearing_seconds"])
    return held.account.privacy()


def blocks(held: Held, arguments: dict[str, Any]) -> list[str]:
    """The JIDs of who is blocked."""
    return [str(jid) for jid in held.account.blocked()]


def block(held: Held, arguments: dict[str, Any]) -> None:
    """``{jid, blocked}``. Raises Problem ``not_on_whatsapp``."""
    jid = parse(arguments["jid"])
    lid = lid_of(held, jid)
    held.account.block(parse(lid) if lid else jid, blocked=arguments["blocked"])


def contact_link(held: Held, arguments: dict[str, Any]) -> str:
    """``{revoke}``: the link, a new one if the old one is to end."""
    return held.account.contact_link(revoke=arguments["revoke"])


attachments.commands.update(
    profile=profile,
    set_profile=set_profile,
    set_picture=set_picture,
    presence=presence,
    privacy=privacy,
    set_privacy=set_privacy,
    blocks=blocks,
    block=block,
    contact_link=contact_link,
)

"""The verbs and questions about a number's own profile: done by the worker that holds it, noted in the audit log.

All of it raises Problem like ``instances.commands.call``, and may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.api.problems import Problem, invalid
from instances import commands
from instances.models import Instance
from instances.services import record_act
from instances.whatsapp.jids import PHONE
from media import services as media_services
from media import serving
from media.models import Kind, Media
from messaging.contacts.selectors import Somebody, people

_PICTURE_SECONDS = 30.0  # to convert it, and to hand it to WhatsApp


def profile(*, instance: Instance) -> dict[str, Any]:
    """What the number shows of itself."""
    return _shown(instance, commands.call(instance, "profile", {"jid": _own_jid(instance)}))


def set_profile(*, instance: Instance, name: str | None = None, about: str | None = None) -> dict[str, Any]:
    """Change the name or the text about it; None stays. The profile as it is then."""
    wanted = {"name": name, "about": about}
    found = commands.call(instance, "set_profile", {"jid": _own_jid(instance), **wanted})
    record_act(instance, "profile_updated", **{what: text for what, text in wanted.items() if text is not None})
    return _shown(instance, found)


def _own_jid(instance: Instance) -> str:
    if not instance.phone:
        raise commands.offline()
    return f"{instance.phone}@{PHONE}"


def _shown(instance: Instance, found: Mapping[str, Any]) -> dict[str, Any]:
    words = {name: found[name] or None for name in ("name", "about", "business_name", "picture")}
    return {"phone": instance.phone, "lid": instance.lid, **words}


def set_picture(*, instance: Instance, media: Media, field: str = "id") -> dict[str, Any]:
    """Show a stored image, cut to a square; its id at WhatsApp.

    Raises Problem ``media_not_stored``, ``media_unusable``, or ``invalid_request`` at the field of the request for a
    file that is no image.
    """
    serving.check_stored(media)
    if refusal := media_services.refusal_of(media, Kind.IMAGE):
        raise invalid(f"/{field}", *refusal)
    found = commands.call(instance, "set_picture", {"media": media.id}, seconds=_PICTURE_SECONDS)
    record_act(instance, "picture_updated", media=media.id)
    return dict(found)


def remove_picture(*, instance: Instance) -> None:
    """Raises Problem ``unsupported_by_engine``: the library has no way to leave the picture out of its query."""
    raise Problem("unsupported_by_engine", "The WhatsApp engine cannot remove a picture. Set another one.")


def set_presence(*, instance: Instance, presence: str) -> dict[str, str]:
    """``available`` or ``unavailable`` until the connection ends; the setting ``mark_online`` decides for the next."""
    commands.call(instance, "presence", {"available": presence == "available"})
    return {"presence": presence}


def privacy(*, instance: Instance) -> dict[str, str | None]:
    return dict(commands.call(instance, "privacy"))


def set_privacy(
    *, instance: Instance, settings: Mapping[str, str], disappearing_seconds: int | None = None
) -> dict[str, str | None]:
    """Change the settings that are named, and how long messages of new chats stay; the settings as they are then."""
    wanted = {"settings": dict(settings), "disappearing_seconds": disappearing_seconds}
    found = commands.call(instance, "set_privacy", wanted)
    record_act(instance, "privacy_updated", **settings, disappearing_seconds=disappearing_seconds)
    return dict(found)


def blocks(*, instance: Instance) -> list[dict[str, Any]]:
    """Who is blocked."""
    return people(instance, commands.call(instance, "blocks"))


def block(*, who: Somebody, blocked: bool) -> None:
    """Block somebody, or no longer. Raises Problem ``not_on_whatsapp``."""
    commands.call(who.instance, "block", {"jid": who.lid or who.jids[0], "blocked": blocked})
    # Without a name: what is kept of a person must be erasable, and the audit log is not.
    record_act(who.instance, "contact_blocked" if blocked else "contact_unblocked")


def contact_link(*, instance: Instance) -> dict[str, str]:
    """The link that lets people add the number."""
    return {"url": commands.call(instance, "contact_link", {"revoke": False})}


def revoke_contact_link(*, instance: Instance) -> dict[str, str]:
    """End the link; the new one."""
    found = commands.call(instance, "contact_link", {"revoke": True})
    record_act(instance, "contact_link_revoked")
    return {"url": found}

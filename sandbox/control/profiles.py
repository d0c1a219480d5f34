"""What the user of a phone sets in its profile, and what was set there."""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Any

from sandbox.errors import BadArguments
from sandbox.model import now
from sandbox.profiles import CONTACT_LINK, new_contact_code

from .base import Methods

_VALUES = ("all", "contacts", "contact_blacklist", "none", "match_last_seen", "known")


class ProfileMethods(Methods):
    def set_profile(
        self, phone: str, about: str | None = None, picture: str | None = None, business_name: str | None = None
    ) -> None:
        """What is not named stays; the picture is base64, empty for none."""
        account = self._account(phone)
        if about is not None:
            account.about = about
        if business_name is not None:
            account.business_name = business_name
        if picture is not None:
            account.picture = None
        if picture:
            try:
                image = base64.b64decode(picture, validate=True)
            except binascii.Error as e:
                raise BadArguments("the picture is no base64") from e
            account.picture = str(now()), f"picture-{secrets.token_hex(16)}"
            self._network.media.put(account.picture[1], image)
        self._network.save_account(account)

    def set_privacy(self, phone: str, settings: dict[str, str]) -> None:
        """By the names that the protocol has: last, online, profile, status, readreceipts, groupadd, calladd."""
        account = self._account(phone)
        if settings.keys() - account.privacy.keys() or not set(settings.values()) <= set(_VALUES):
            raise BadArguments("there is no such setting, or no such value")
        account.privacy |= settings
        self._network.save_account(account)

    def profile(self, phone: str) -> dict[str, Any]:
        account = self._account(phone)
        blocked = [self._network.account(jid, account.realm) for jid in sorted(account.blocked)]
        return {
            "name": account.name,
            "online": account.online,
            "about": account.about,
            "picture": account.picture[0] if account.picture else None,
            "business_name": account.business_name,
            "privacy": account.privacy,
            "blocked": [other.number for other in blocked if other],
            "disappearing_seconds": account.disappearing,
        }

    def contact_link(self, phone: str) -> str:
        """The link in the QR code that the phone shows."""
        account = self._account(phone)
        account.contact_code = account.contact_code or new_contact_code()
        self._network.save_account(account)
        return f"{CONTACT_LINK}{account.contact_code}"

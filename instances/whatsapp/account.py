"""Queries and changes over a live connection: the number's own profile and privacy, and what others show of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from instances.whatsapp.failures import SendFailed
from instances.whatsapp.gate import GATE
from instances.whatsapp.jids import Jid
from instances.whatsapp.library import gocode, jid_message, proto
from instances.whatsapp.people import PRIVACY, LinkTarget, Names, Picture, UserInfo
from instances.whatsapp.translating.values import jid_of, text

_SHORT = 1_000
NO_PICTURE = ("does not have a profile picture", "hidden their profile picture")  # the library's words
NO_LINK = "contact QR link does not exist"


def business_name(verified: Any) -> str:
    """The name in a business's certificate, whose signature only WhatsApp's servers check."""
    return text(verified.Details.verifiedName, 200)


class Account:
    """Those of one connected client. Each asks WhatsApp, waits at most 75 s, and raises SendFailed."""

    def __init__(self, uuid: bytes, is_registered: Callable[[], bool]) -> None:
        self._uuid, self._is_registered = uuid, is_registered

    def _enter(self) -> None:
        """Some of these calls end the process for a client that the library does not know any more."""
        GATE.enter()
        if not self._is_registered():
            raise SendFailed("client is nil")

    def _change(self, call: Callable[..., bytes], *arguments: Any) -> None:
        self._enter()
        if error := call(self._uuid, *arguments):
            raise SendFailed(error.decode(errors="replace"))

    def _ask(self, call: Callable[..., bytes], answer: Any, *arguments: Any) -> Any:
        self._enter()
        found = answer.FromString(call(self._uuid, *arguments))
        if found.Error:
            raise SendFailed(found.Error)
        return found

    # --- the number itself ------------------------------------------------------------------

    def names(self) -> Names:
        """As the library has them; asks nobody."""
        self._enter()
        device = proto.Device.FromString(gocode.GetMe(self._uuid))
        return Names(text(device.PushName, 200), text(device.BussinessName, 200))

    def set_name(self, name: str) -> None:
        """Others learn of it with the next `Client.presence`, or message."""
        self._change(gocode.SetPushName, name.encode())

    def set_about(self, about: str) -> None:
        self._change(gocode.SetStatusMessage, about.encode())

    def set_picture(self, jpeg: bytes) -> str:
        """A square JPEG; returns the picture's id."""
        answer = self._ask(gocode.SetProfilePhoto, proto.SetGroupPhotoReturnFunction, jpeg, len(jpeg))
        return text(answer.PictureID, 80)

    def privacy(self) -> dict[str, str | None]:
        """The value of each setting in PRIVACY; None for one that this library has no word for."""
        self._enter()
        settings = proto.PrivacySettings.FromString(gocode.GetPrivacySettings(self._uuid))
        found = {name: _value(settings, setting.field) for name, setting in PRIVACY.items()}
        if not any(found.values()):  # it tells only its log why it has none
            raise SendFailed("the privacy settings could not be fetched")
        return found

    def set_privacy(self, name: str, value: str) -> None:
        """One setting of PRIVACY."""
        arguments = PRIVACY[name].wa_name.encode(), value.encode()
        self._ask(gocode.SetPrivacySetting, proto.SetPrivacySettingReturnFunction, *arguments)

    def set_disappearing(self, seconds: int) -> None:
        """How long messages of new chats stay; 0: for ever. It cannot be asked for."""
        self._change(gocode.SetDefaultDisappearingTimer, seconds * 10**9)

    def contact_link(self, *, revoke: bool) -> str:
        """The link that lets people add the number; ``revoke`` replaces it first."""
        return text(self._ask(gocode.GetContactQRLink, proto.GetContactQRLinkReturnFunction, revoke).Link, _SHORT)

    def blocked(self) -> list[Jid]:
        """Mostly LIDs."""
        return _blocked(self._ask(gocode.GetBlocklist, proto.GetBlocklistReturnFunction))

    def block(self, jid: Jid, *, blocked: bool) -> list[Jid]:
        """Block somebody, or no longer; the list as it is then."""
        raw = jid_message(jid).SerializeToString()
        action = b"block" if blocked else b"unblock"
        return _blocked(self._ask(gocode.UpdateBlocklist, proto.GetBlocklistReturnFunction, raw, len(raw), action))

    # --- other people -----------------------------------------------------------------------

    def user_info(self, jid: Jid) -> UserInfo:
        """What somebody shows to this number."""
        raw = proto.JIDArray(JIDS=[jid_message(jid)]).SerializeToString()
        answer = self._ask(gocode.GetUserInfo, proto.GetUserInfoReturnFunction, raw, len(raw))
        for one in answer.UsersInfo:
            info = one.UserInfo
            words = text(info.Status, _SHORT), text(info.PictureID, 80)
            return UserInfo(*words, len(info.Devices), business_name(info.VerifiedName))
        return UserInfo("", "", 0, "")

    def picture(self, jid: Jid, *, preview: bool) -> Picture | None:
        """Somebody's profile picture, or a small form of it; None if there is none, or it is hidden."""
        raw = jid_message(jid).SerializeToString()
        # The library heeds none of the parameters unless all are there.
        wanted = proto.GetProfilePictureParams(Preview=preview, ExistingID="", IsCommunity=False).SerializeToString()
        try:
            answer = self._ask(
                gocode.GetProfilePicture, proto.GetProfilePictureReturnFunction, raw, len(raw), wanted, len(wanted)
            )
        except SendFailed as error:
            if any(words in str(error) for words in NO_PICTURE):
                return None
            raise
        return Picture(text(answer.Picture.ID, 80), text(answer.Picture.URL, 2_000))

    def watch_presence(self, jid: Jid) -> None:
        """Have WhatsApp tell when somebody comes and goes, until the connection ends, if they let it.

        It does so only while the number itself is shown as online.
        """
        raw = jid_message(jid).SerializeToString()
        self._change(gocode.SubscribePresence, raw, len(raw))

    def resolve_link(self, link: str) -> LinkTarget | None:
        """Whom a contact link (or its code) leads to; None for one that does not exist."""
        try:
            found = self._ask(gocode.ResolveContactQRLink, proto.ResolveContactQRLinkReturnFunction, link.encode())
        except SendFailed as error:
            if NO_LINK in str(error):
                return None
            raise
        return LinkTarget(jid_of(found.ContactQrLink.JID), text(found.ContactQrLink.PushName, 200))


def _value(settings: Any, field: str) -> str | None:
    if not settings.HasField(field):
        return None
    name = str(proto.PrivacySettings.PrivacySetting.Name(getattr(settings, field))).lower()
    return None if name == "undefined" else name


def _blocked(answer: Any) -> list[Jid]:
    return [jid_of(jid).bare for jid in answer.Blocklist.JIDs]

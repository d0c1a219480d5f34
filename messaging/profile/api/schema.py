from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from config.api.operations import Operation, Operations, Phone, Shape, Tag
from instances.whatsapp.people import PRIVACY
from messaging.api.schema import Contact, Picture
from messaging.profile.api import views
from messaging.profile.api.serializers import PictureInput, PresenceInput, PrivacyChange, ProfileChange

_Url = Annotated[str, Meta(extra_json_schema={"format": "uri"})]


class Profile(Shape):
    """What the number shows of itself."""

    phone: Phone | None
    lid: str | None
    name: Annotated[str, Meta(examples=["Acme"])] | None
    about: str | None
    business_name: Annotated[str, Meta(description="Of a business account.")] | None
    picture: Picture | None


class NewPicture(Shape):
    id: Annotated[str, Meta(description="Of the picture at WhatsApp.")]


class OwnPresence(Shape):
    presence: Literal["available", "unavailable"]


class Blocks(Shape):
    results: list[Contact]


class ContactLink(Shape):
    """Whoever opens it, or scans it as a QR code, can write to the number."""

    url: Annotated[_Url, Meta(examples=["https://wa.me/qr/ABCDEFGHIJKLM1"])]


Privacy: Any = msgspec.defstruct(
    "Privacy",
    [(name, Literal[setting.values] | None) for name, setting in PRIVACY.items()],
    bases=(Shape,),
    namespace={"__doc__": "Who sees what; null where WhatsApp has a value that the engine does not know."},
)

_OTHER_NETWORK = ("test_key_on_live", "live_key_on_sandbox")
_LIVE = ("engine_failed", "instance_offline", "no_answer", *_OTHER_NETWORK)
TAG = Tag("Profile", "What a number shows of itself and to whom: profile, presence, privacy, blocks.")
OPERATIONS: Operations = {
    views.ProfileView.get: Operation("The profile", "As WhatsApp has it now.", answers={200: Profile}, problems=_LIVE),
    views.ProfileView.patch: Operation(
        "Change the profile",
        "Only what is named changes. Idempotent.",
        body=ProfileChange,
        body_required=False,
        answers={200: Profile},
        problems=_LIVE,
        example={"name": "Acme", "about": "Open from nine to five"},
    ),
    views.ProfilePictureView.put: Operation(
        "Set the profile picture",
        "An image, cut to a square of at most 640 pixels.",
        body=PictureInput,
        answers={200: NewPicture},
        problems=["media_empty", "media_not_stored", "media_quota_exceeded", "media_unusable", *_LIVE],
        example={"id": "med_01h455vb4pex5vsknk084sn02q"},
    ),
    views.ProfilePictureView.delete: Operation(
        "Remove the profile picture",
        "The WhatsApp engine cannot do it yet: always 501.",
        answers={204: None},
        problems=["unsupported_by_engine", *_OTHER_NETWORK],
    ),
    views.PresenceView.put: Operation(
        "Show the number as online or not",
        "Until the connection ends; then the setting `mark_online` holds again.",
        body=PresenceInput,
        answers={200: OwnPresence},
        problems=_LIVE,
        example={"presence": "available"},
    ),
    views.PrivacyView.get: Operation("Privacy settings", answers={200: Privacy}, problems=_LIVE),
    views.PrivacyView.patch: Operation(
        "Change privacy settings",
        "Only what is named changes. Idempotent. `disappearing_seconds` cannot be asked for, so no answer has it.",
        body=PrivacyChange,
        body_required=False,
        answers={200: Privacy},
        problems=_LIVE,
        example={"last_seen": "contacts", "online": "match_last_seen", "disappearing_seconds": 604800},
    ),
    views.BlocksView.get: Operation("Who is blocked", answers={200: Blocks}, problems=_LIVE),
    views.BlockView.put: Operation(
        "Block somebody",
        "Neither calls nor messages of theirs arrive any more. Idempotent.",
        answers={204: None},
        problems=["not_a_person", "not_on_whatsapp", *_LIVE],
    ),
    views.BlockView.delete: Operation(
        "Unblock somebody", "Idempotent.", answers={204: None}, problems=["not_a_person", "not_on_whatsapp", *_LIVE]
    ),
    views.ContactLinkView.get: Operation(
        "The contact link", "WhatsApp makes one with the first question.", answers={200: ContactLink}, problems=_LIVE
    ),
    views.RevokeContactLinkView.post: Operation(
        "Replace the contact link", "The old one leads nowhere any more.", answers={200: ContactLink}, problems=_LIVE
    ),
}

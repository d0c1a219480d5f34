"""What every send may say of how it is to be delivered, whatever its type."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from config.api.problems import invalid
from messaging.accepting import scheduling
from messaging.accepting.orders import Outgoing


class Delivery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of the bodies of sends."""

    send_at: (
        Annotated[
            datetime,
            Meta(
                tz=True, description="When it shall leave, up to 30 days ahead.", examples=["2026-12-24T18:00:00+01:00"]
            ),
        ]
        | UnsetType
    ) = UNSET
    client_ref_unique: (
        Annotated[bool, Meta(description="Refuse the message if the instance has one with this `client_ref`.")]
        | UnsetType
    ) = UNSET
    typing: (
        Annotated[
            bool | Annotated[float, Meta(ge=0, le=60)],
            Meta(description="Seconds of typing before it; false: none; true: as long as the text takes."),
        ]
        | UnsetType
    ) = UNSET


def with_delivery(outgoing: Outgoing, wanted: Delivery) -> Outgoing:
    """The message as it is to be delivered; without wishes it is the same. Raises Problem ``invalid_request``."""
    if wanted.send_at is wanted.client_ref_unique is wanted.typing is UNSET:
        return outgoing
    if wanted.client_ref_unique is True and outgoing.client_ref is None:
        raise invalid("/client_ref", "client_ref_missing", "There is no client_ref that could be unique.")
    changes: dict[str, object] = {}
    if wanted.client_ref_unique is not UNSET:
        changes["unique_ref"] = wanted.client_ref_unique
    if wanted.typing is not UNSET:
        changes["attributes"] = {**outgoing.attributes, "typing": wanted.typing}
    if wanted.send_at is not UNSET:
        send_at = scheduling.checked(wanted.send_at)
        changes |= {"send_at": send_at, "items": tuple(item._replace(send_at=send_at) for item in outgoing.items)}
    return outgoing._replace(**changes)  # type: ignore[arg-type]

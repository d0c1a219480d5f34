"""What a socket is to hear: what its caller may see, and of that, what it has subscribed to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rest_framework import serializers

from accounts.actor import Actor
from config.api.problems import Problem
from config.api.serializers import Id, Input
from webhooks import access, catalogue
from webhooks.api.serializers import Pattern
from webhooks.live.frames import Frame

MOST_SUBSCRIPTIONS = 20


class SubscriptionInput(Input):
    types = serializers.ListField(child=Pattern(), min_length=1, max_length=50, required=False)
    instances = serializers.ListField(
        child=Id("ins"), min_length=1, max_length=100, allow_null=True, required=False, default=None
    )


class Subscription(NamedTuple):
    """Events of any of the types at any of the instances, None for all."""

    types: tuple[str, ...] = ("*",)
    instances: tuple[str, ...] | None = None

    def covers(self, frame: Frame) -> bool:
        return (self.instances is None or frame.instance in self.instances) and catalogue.matches(
            self.types, frame.type
        )

    def body(self) -> dict[str, Any]:
        return {"types": self.types, "instances": self.instances}


def subscription_of(actor: Actor, given: Mapping[str, Any]) -> Subscription:
    """A subscription as a client spells it, with lists that may be left out.

    Raises ValidationError, and Problem ``permission_denied`` for instances that a key is not meant for.
    """
    checked = SubscriptionInput(data=given)
    checked.is_valid(raise_exception=True)
    types, instances = checked.validated_data.get("types", ["*"]), checked.validated_data["instances"]
    if instances is not None:
        access.audible(actor, instances)
    return Subscription(tuple(sorted(set(types))), None if instances is None else tuple(sorted(set(instances))))


class Interest(NamedTuple):
    """What a socket is to hear; equal ones hear the same."""

    networks: tuple[str, ...]
    instances: frozenset[str] | None
    subscriptions: tuple[Subscription, ...]

    @classmethod
    def of(cls, actor: Actor, subscription: Subscription) -> Interest:
        return cls(actor.networks, actor.instances, (subscription,))

    def shows(self, network: str, instance: str | None) -> bool:
        """False for a stream that the caller may not see; a key that is limited sees its instances alone."""
        return network in self.networks and (self.instances is None or instance in self.instances)

    def chosen(self, frames: Sequence[Frame]) -> list[str]:
        """The texts of the frames that are to be heard."""
        return [
            frame.text
            for frame in frames
            if self.shows(frame.network, frame.instance) and any(one.covers(frame) for one in self.subscriptions)
        ]

    def with_subscription(self, new: Subscription) -> Interest:
        """Raises Problem ``invalid_request`` when there are as many as there may be."""
        if new in self.subscriptions:
            return self
        if len(self.subscriptions) >= MOST_SUBSCRIPTIONS:
            raise Problem("invalid_request", f"A socket has at most {MOST_SUBSCRIPTIONS} subscriptions.")
        return self._replace(subscriptions=(*self.subscriptions, new))

    def without_subscription(self, old: Subscription | None) -> Interest:
        """Without an equal one; for None, without any."""
        return self._replace(subscriptions=tuple(s for s in self.subscriptions if old is not None and s != old))

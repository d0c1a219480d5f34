"""Two tenants and a suspended one, each with one of everything, and everybody who may knock at their doors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from accounts.actor import Actor
from accounts.api_keys import create_key
from accounts.invitations import invite
from accounts.models import ApiKey, Membership, Mode, Organization, Role, Scope, User
from accounts.services import register
from accounts.sessions import issue_tokens
from broadcasts.models import Broadcast, OptOut, Sender, Template
from conftest import PASSWORD, bearer
from instances.models import Instance
from instances.states import State, Wanted
from media.models import Media
from messaging.models import Call, Chat, Erasure, Message
from phones.models import VirtualPhone
from phones.tests.numbers import new_number
from tests.conformance import Arbitrary
from webhooks.events import Draft, append
from webhooks.models import Delivery, Endpoint, Replay


@dataclass
class Objects:
    """What one network's share of a tenant is: its numbers, a message, an endpoint."""

    instance: Instance
    message: Message
    chat: Chat
    call: Call
    erasure: Erasure
    endpoint: Endpoint
    delivery: Delivery
    replay: Replay
    media: Media
    broadcast: Broadcast
    opt_out: OptOut

    @property
    def ids(self) -> set[str]:
        own = {self.instance.id, self.message.id, self.chat.id, self.erasure.id, self.endpoint.id, self.media.id}
        return own | {self.call.id, self.broadcast.id, self.opt_out.id, self.delivery.id, self.replay.id}


@dataclass
class Tenant:
    """An organization with people of all roles and one of everything, on both networks."""

    name: str
    organization: Organization = field(init=False)
    people: dict[str, User] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        owner, self.organization = register(email=self._address("owner"), password=PASSWORD, name=f"{self.name} owner")
        self.people[Role.OWNER] = owner
        for role in (Role.ADMIN, Role.MEMBER, Role.VIEWER, "leaver"):
            user = User.objects.create_user(self._address(role), PASSWORD, name=f"{self.name} {role}")
            kind = Role.MEMBER if role == "leaver" else role
            Membership.objects.create(organization=self.organization, user=user, role=kind)
            self.people[role] = user
        self.sandbox, self.live = self._objects("sandbox", Mode.TEST), self._objects("whatsapp", Mode.LIVE)
        self.phone = VirtualPhone.objects.create(organization=self.organization, phone=new_number(), name="Carla")
        self.template = Template.objects.create(
            organization=self.organization, name="Greeting", message={"type": "text", "text": {"body": "Hello"}}
        )
        self.key_row, _ = self._key()
        self.member = Membership.objects.get(user=self.people["leaver"])
        self.refresh = issue_tokens(user=owner).refresh
        self.invitation = invite(actor=self._owner, email=self._address("guest"), role=Role.VIEWER)

    def _address(self, who: str) -> str:
        return f"{who}@{self.name.lower()}.example"

    def _objects(self, network: str, mode: str) -> Objects:
        phone = new_number()
        instance = Instance.objects.create(
            organization=self.organization,
            name="Support",
            network=network,
            wanted=Wanted.CONNECTED,
            state=State.CONNECTED,
            reason="online",
            phone=phone,
            device_jid=f"{phone}:1@s.whatsapp.net",
        )
        message = Message.objects.create(
            organization=self.organization,
            instance=instance,
            direction="outbound",
            status="sent",
            type="text",
            content={"body": "Hello"},
            chat="15550100002@s.whatsapp.net",
        )
        chat = Chat.objects.create(
            organization=self.organization,
            instance=instance,
            kind="person",
            jid=message.chat,
            last_message_id=message.id,
            last_at=message.created_at,
        )
        call = Call.objects.create(
            organization=self.organization,
            instance=instance,
            wa_id="C1",
            status="missed",
            caller="777@lid",
            lid="777@lid",
            video=False,
            group=False,
            at=timezone.now(),
        )
        erasure = Erasure.objects.create(organization=self.organization, instance=instance, phone="15550100009")
        endpoint = Endpoint.objects.create(
            organization=self.organization, mode=mode, url="https://example.com/hooks", events=["*"]
        )
        media = Media.objects.create(
            organization=self.organization, network=network, instance=instance, source="inbound"
        )
        hearing = self._hearing(endpoint, instance)
        return Objects(instance, message, chat, call, erasure, endpoint, *hearing, media, *self._audience(instance))

    def _hearing(self, endpoint: Endpoint, instance: Instance) -> tuple[Delivery, Replay]:
        draft = Draft(self.organization.id, instance.id, instance.network, "message.received", Arbitrary())
        (event,) = append([draft])
        delivery = Delivery.objects.get(endpoint=endpoint)
        Delivery.objects.filter(pk=delivery.pk).update(state="failed", next_attempt_at=None)
        replay = Replay.objects.create(
            organization=self.organization,
            endpoint=endpoint,
            kind="recover",
            since=event.timestamp,
            until=timezone.now(),
            cursor=event.id,
            state="completed",
        )
        return delivery, replay

    def _audience(self, instance: Instance) -> tuple[Broadcast, OptOut]:
        of = {"organization": self.organization, "network": instance.network}
        broadcast = Broadcast.objects.create(**of, message={"type": "text", "text": {"body": "Hello"}})
        Sender.objects.create(broadcast=broadcast, instance=instance)
        return broadcast, OptOut.objects.create(**of, phone=new_number(), source="stop_word", instance=instance)

    @property
    def _owner(self) -> Actor:
        scopes = frozenset(Scope.values)
        return Actor(self.organization.id, "user", self.people[Role.OWNER].id, scopes, role=Role.OWNER)

    def _key(self, scopes: Collection[str] = Scope.values, mode: str = Mode.TEST, **limits: Any) -> tuple[ApiKey, str]:
        return create_key(actor=self._owner, name="Shop", mode=mode, scopes=list(scopes), **limits)

    def key(self, scopes: Collection[str] = Scope.values, mode: str = Mode.TEST, **limits: Any) -> APIClient:
        return bearer(self._key(scopes, mode, **limits)[1])

    def token(self, role: str) -> APIClient:
        return bearer(issue_tokens(user=self.people[role]).access)

    @property
    def secrets(self) -> set[str]:
        """Ids that nobody of another tenant may see."""
        rows = {
            self.organization.id,
            self.key_row.id,
            self.member.id,
            self.invitation.id,
            self.phone.id,
            self.template.id,
        }
        return rows | self.sandbox.ids | self.live.ids | {user.id for user in self.people.values()}

    def names(self, network: Objects) -> dict[str, str]:
        """What paths and bodies name, by placeholder."""
        owner = self.people[Role.OWNER]
        return {
            "instance_id": network.instance.id,
            "message_id": network.message.id,
            "chat_id": network.chat.id,
            "call_id": network.call.id,
            "erasure_id": network.erasure.id,
            "contact": "15550100002",
            "endpoint_id": network.endpoint.id,
            "delivery_id": network.delivery.id,
            "replay_id": network.replay.id,
            "hour_ago": (timezone.now() - timedelta(hours=1)).isoformat(),
            "now": timezone.now().isoformat(),
            "template_id": self.template.id,
            "broadcast_id": network.broadcast.id,
            "opt_out_id": network.opt_out.id,
            "media_id": network.media.id,
            "phone": self.phone.phone,
            "key_id": self.key_row.id,
            "member_id": self.member.id,
            "invitation_id": self.invitation.id,
            "session_id": owner.sessions.earliest("created_at").id,
            "email": owner.email,
            "refresh": self.refresh,
            "network": network.instance.network,
        }


@dataclass
class Caller:
    """Somebody at the door of a tenant's object.

    ``may`` is what they are permitted by role or scopes, None for who has no valid credentials. ``foreign`` says
    in which way the object is not theirs. ``hidden`` are ids that no answer to them may contain.
    """

    client: APIClient
    target: dict[str, str]
    may: Collection[str] | None = None
    is_key: bool = False
    refusal: str = ""
    foreign: str = ""
    suspended: bool = False
    hidden: Collection[str] = ()


ROLES: dict[str, set[str]] = {
    "viewer": {"self", "team", "read"},
    "member": {"self", "team", "read", "send"},
    "admin": {"self", "team", "read", "send", "manage", "webhooks", "keys", "members", "audit"},
    "owner": {"self", "team", "read", "send", "manage", "webhooks", "keys", "members", "audit", "billing", "own"},
}
SCOPES = {"read", "send", "manage", "webhooks"}


def callers(acme: Tenant, other: Tenant, frozen: Tenant) -> dict[str, Caller]:
    """By what the matrix calls them; ``key without`` stands for one key for each scope it lacks."""
    test, live = acme.names(acme.sandbox), acme.names(acme.live)
    elsewhere = acme._objects("sandbox", Mode.TEST)
    revoked, revoked_client = acme._key()
    ApiKey.objects.filter(pk=revoked.pk).update(revoked=True)
    expired, expired_client = acme._key()
    ApiKey.objects.filter(pk=expired.pk).update(expiry_date=timezone.now() - timedelta(seconds=1))
    found = {
        "anonymous": Caller(APIClient(), test),
        "revoked key": Caller(bearer(revoked_client), test, refusal="401 invalid_credentials"),
        "expired key": Caller(bearer(expired_client), test, refusal="401 invalid_credentials"),
        "test key": Caller(acme.key(), test, SCOPES, is_key=True, hidden=acme.live.ids),
        "live key": Caller(
            acme.key(mode=Mode.LIVE), live, SCOPES, is_key=True, foreign="of live", hidden=acme.sandbox.ids
        ),
        "test key on live": Caller(acme.key(), live, SCOPES, is_key=True, foreign="live", hidden=acme.live.ids),
        "live key on sandbox": Caller(
            acme.key(mode=Mode.LIVE), test, SCOPES, is_key=True, foreign="sandbox", hidden=acme.sandbox.ids
        ),
        "key of another instance": Caller(
            acme.key(instances=[elsewhere.instance.id]),
            test,
            SCOPES,
            is_key=True,
            foreign="instance",
            hidden={
                acme.sandbox.instance.id,
                acme.sandbox.message.id,
                acme.sandbox.broadcast.id,
                acme.sandbox.opt_out.id,
            },
        ),
        "owner of another organization": Caller(
            other.token("owner"), test, ROLES["owner"], foreign="organization", hidden=acme.secrets
        ),
        "owner of a suspended organization": Caller(
            frozen.token("owner"), frozen.names(frozen.sandbox), ROLES["owner"], suspended=True
        ),
    }
    for role, may in ROLES.items():
        foreign = "" if role == Role.OWNER else "person"
        found[role] = Caller(acme.token(role), test, may, foreign=foreign, hidden=other.secrets)
    for scope in sorted(SCOPES):
        found[f"key without {scope}"] = Caller(acme.key(SCOPES - {scope}), test, SCOPES - {scope}, is_key=True)
    return found

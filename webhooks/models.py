from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import models
from django.db.models import Q

from accounts.models import Mode, Organization
from config.fields import EncryptedJSONField, EncryptedTextField
from config.ids import TypeIDField, to_uuid
from webhooks import catalogue


def new_secret() -> str:
    """A Standard Webhooks secret: ``whsec_`` and 24 random bytes in base64."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


class Network(models.TextChoices):
    SANDBOX = "sandbox"
    WHATSAPP = "whatsapp", "WhatsApp"


def stream_of(organization_id: str, instance_id: str | None, network: str) -> uuid.UUID:
    """What a sequence of the log belongs to: an instance, or an organization's own affairs on one network."""
    if instance_id is not None:
        return to_uuid(instance_id, "ins")
    return uuid.uuid5(to_uuid(organization_id, "org"), network)


class ChatKind(models.TextChoices):
    PERSON = "person"
    GROUP = "group"
    NEWSLETTER = "newsletter"
    STATUS = "status"


_KIND_OF_SERVER = {"g.us": ChatKind.GROUP, "newsletter": ChatKind.NEWSLETTER, "broadcast": ChatKind.STATUS}


def chat_kind(jid: str) -> ChatKind:
    return _KIND_OF_SERVER.get(jid.rpartition("@")[2], ChatKind.PERSON)


class Counter(models.Model):
    """The end of one stream of the log; an organization's own stream has no instance.

    Its row lock, held until commit, makes the order of commits the order of sequences. ``clock`` is the
    time of the last event in microseconds since 1970 and never goes back, whichever machine appends.
    """

    stream = models.UUIDField(primary_key=True, editable=False)
    instance_id = TypeIDField(prefix="ins", null=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    network = models.CharField(max_length=8, choices=Network.choices)
    value = models.BigIntegerField(help_text="The sequence of the last event")
    clock = models.BigIntegerField()
    pruned = models.BigIntegerField(db_default=0, default=0, help_text="The last sequence that is kept no more")

    def __str__(self) -> str:
        return f"{self.instance_id or self.organization_id} at {self.value}"


class Event(models.Model):
    """Something that happened to an instance, or to an organization itself (then there is no instance).

    Written by ``events.append`` only, never changed.
    """

    id = TypeIDField(prefix="evt", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", db_index=False)
    network = models.CharField(max_length=8, choices=Network.choices)
    # No foreign key: the table of instances lies on a higher floor.
    instance_id = TypeIDField(prefix="ins", null=True)
    type = models.CharField(max_length=40)
    sequence = models.BigIntegerField()
    timestamp = models.DateTimeField()
    data = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instance_id", "sequence"], name="event_sequence"),
            models.UniqueConstraint(
                fields=["organization", "network", "sequence"],
                name="event_sequence_of_organization",
                condition=Q(instance_id=None),
            ),
        ]
        indexes = [models.Index(fields=["organization", "id"], name="event_organization")]

    def __str__(self) -> str:
        return f"{self.type} {self.sequence} of {self.instance_id or self.organization_id}"

    @property
    def stream(self) -> uuid.UUID:
        return stream_of(self.organization_id, self.instance_id, self.network)

    @property
    def chat(self) -> str | None:
        """The JID of the chat in which it happened."""
        chat = self.data.get("chat")
        found = chat.get("id") if isinstance(chat, dict) else chat
        return found if isinstance(found, str) else None

    @property
    def chat_kind(self) -> str | None:
        """A ChatKind."""
        return chat_kind(self.chat) if self.chat else None

    @property
    def lane(self) -> str:
        """Names the chat of the event and its instance; without a chat the instance, without that the organization."""
        return hashlib.blake2b(f"{self.stream.hex} {self.chat or ''}".encode(), digest_size=16).hexdigest()

    def payload(self) -> dict[str, Any]:
        """What every listener gets, webhook or socket."""
        timestamp = self.timestamp.astimezone(UTC).isoformat(timespec="milliseconds")
        return {
            "id": self.id,
            "type": self.type,
            "version": catalogue.VERSION,
            "timestamp": timestamp.replace("+00:00", "Z"),
            "instance": self.instance_id,
            "sequence": self.sequence,
            "data": self.data,
        }

    def encoded(self) -> bytes:
        """The payload as JSON; equal bytes whenever the event is read from the database."""
        return orjson.dumps(self.payload())


class Endpoint(models.Model):
    """A URL of a tenant that wants events.

    ``mode`` is that of the key that created it (a test key's endpoint gets events of the sandbox only, a
    live key's only real ones), NULL for a person's, who gets both. ``claim`` and ``claimed_until`` belong
    to the one process that delivers to it now. ``failing_since`` is the first of the failures that no success has
    ended, NULL while all is well; ``warnings`` counts those sent of it.
    """

    class Ordering(models.TextChoices):
        NONE = "none"
        CHAT = "chat"

    class Disabled(models.TextChoices):
        """Why an endpoint is disabled."""

        USER = "disabled_by_user"
        OPERATOR = "disabled_by_operator"
        GONE = "receiver_gone"
        FAILING = "receiver_failing"

    id = TypeIDField(prefix="whk", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="endpoints")
    mode = models.CharField(max_length=4, choices=Mode.choices, null=True, blank=True)
    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    events = models.JSONField(help_text="Patterns such as * or message.*")
    instances = models.JSONField(null=True, blank=True, help_text="Instance ids, or null for all")
    chat_kinds = models.JSONField(null=True, blank=True, help_text="Such as group, or null for all")
    ordering = models.CharField(max_length=4, choices=Ordering.choices, default=Ordering.NONE)
    headers = EncryptedJSONField(default=dict, editable=False, help_text="Sent with each delivery: name to value")
    secret = EncryptedTextField(default=new_secret, editable=False)
    old_secrets = EncryptedJSONField(
        default=list, editable=False, help_text="[secret, seconds since 1970] pairs: sign as well until then"
    )
    enabled = models.BooleanField(default=True)
    disabled_code = models.CharField(max_length=20, choices=Disabled.choices, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    warnings = models.PositiveSmallIntegerField(default=0, editable=False)
    warned_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, blank=True, help_text="Its deliveries go with the next pruning")
    claim = models.UUIDField(null=True, editable=False)
    claimed_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes = [
            models.Index(
                fields=["failing_since"],
                name="endpoint_failing",
                condition=Q(enabled=True, failing_since__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.url

    @property
    def network(self) -> str:
        """Where events about the endpoint itself belong; of one that hears both networks, to the real one."""
        return Network.SANDBOX if self.mode == Mode.TEST else Network.WHATSAPP

    def secrets_at(self, moment: datetime) -> list[str]:
        """The secrets that sign a request: the present one, and those it replaced as long as they overlap."""
        return [self.secret, *(old for old, until in self.old_secrets if until > moment.timestamp())]

    def wants(self, event: Event) -> bool:
        """True if an event of any organization is to be delivered here: no test, and nothing about the endpoint."""
        if event.data.get("test") is True or event.data.get("webhook") == self.id:
            return False
        network = {Mode.TEST: Network.SANDBOX, Mode.LIVE: Network.WHATSAPP}.get(self.mode)  # type: ignore[call-overload]
        return (
            self.organization_id == event.organization_id
            and network in (None, event.network)
            and (self.instances is None or event.instance_id in self.instances)
            and (self.chat_kinds is None or event.chat_kind in self.chat_kinds)
            and catalogue.matches(self.events, event.type)
        )


class Delivery(models.Model):
    """One event on its way to one endpoint.

    pending -> delivering -> succeeded, failed, or pending again with a later ``next_attempt_at``, which is
    NULL exactly when it succeeded or failed for good. Where the endpoint wants the order of chats kept, ``lane`` names
    the event's chat: those of one lane are attempted one after the other. One that a ``replay`` made, or opened again
    with an ``attempt_count`` of 0, waits until nothing else is due.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERING = "delivering"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    id = TypeIDField(prefix="dlv", primary_key=True)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    # The event's own: to find a rare type, the planner would read the events of all tenants.
    type = models.CharField(max_length=40)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    lane = models.CharField(max_length=32, blank=True, default="")
    sequence = models.PositiveBigIntegerField()  # the event's: what is before it in its lane is an index away
    replay = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["endpoint", "id"], name="delivery_endpoint"),
            models.Index(fields=["endpoint", "state", "id"], name="delivery_state"),
            models.Index(fields=["endpoint", "type", "id"], name="delivery_type"),
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                name="delivery_replayed",
                condition=Q(next_attempt_at__isnull=False, replay=True),
            ),
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                name="delivery_live",
                condition=Q(next_attempt_at__isnull=False, replay=False),
            ),
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                name="delivery_open",
                condition=Q(next_attempt_at__isnull=False),
            ),
            models.Index(fields=["endpoint"], name="delivery_taken", condition=Q(state="delivering")),
            models.Index(
                fields=["endpoint", "lane", "sequence"],
                name="delivery_lane",
                condition=Q(next_attempt_at__isnull=False) & ~Q(lane=""),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="delivery_once"),
            models.CheckConstraint(
                name="delivery_open_is_due",
                condition=Q(state__in=("pending", "delivering"), next_attempt_at__isnull=False)
                | Q(state__in=("succeeded", "failed"), next_attempt_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.endpoint_id}: {self.state}"


class Attempt(models.Model):
    """One HTTP request of a delivery; ``status`` is NULL and ``error`` says why when no answer came.

    ``request_id`` was sent along as ``X-Request-Id`` and stands in our log too.
    """

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=200, blank=True)
    response = models.TextField(blank=True, help_text="The first 20,000 bytes of the reply")
    request_id = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.status or self.error} at {self.at}"


class Replay(models.Model):
    """The order to deliver the events of a time range to one endpoint again.

    ``recover`` takes those that never succeeded there, ``replay`` all of them; both only what the endpoint wants by
    its present filters and, where they are given, by ``types``, ``instances`` and ``chat_kinds``. ``cursor`` is the
    last event that was looked at and moves in the transaction of the deliveries that were made for it. Of the
    ``matched`` events ``created`` were put on their way. ``claimed_until`` belongs to the worker that goes on with it.
    """

    class Kind(models.TextChoices):
        RECOVER = "recover"
        REPLAY = "replay"

    class State(models.TextChoices):
        RUNNING = "running"
        COMPLETED = "completed"
        CANCELLED = "cancelled"

    id = TypeIDField(prefix="rpl", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", db_index=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="replays")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    state = models.CharField(max_length=9, choices=State.choices, default=State.RUNNING)
    since = models.DateTimeField()
    until = models.DateTimeField()
    types = models.JSONField(null=True)
    instances = models.JSONField(null=True)
    chat_kinds = models.JSONField(null=True)
    cursor = TypeIDField(prefix="evt")
    matched = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["organization"], name="replay_running", condition=Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.endpoint_id} from {self.since} to {self.until}"

    def wants(self, event: Event) -> bool:
        """True if the filters of the replay let the event pass; the endpoint's come on top."""
        return (
            (self.types is None or catalogue.matches(self.types, event.type))
            and (self.instances is None or event.instance_id in self.instances)
            and (self.chat_kinds is None or event.chat_kind in self.chat_kinds)
        )

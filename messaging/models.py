from __future__ import annotations

import secrets
from functools import partial

from django.db import models
from django.utils import timezone

from accounts.models import Organization
from config.ids import TypeIDField
from instances.models import Instance
from media.models import Media
from messaging.calls.models import Call
from messaging.receiving.models import (
    EarlyChange,
    Group,
    HistoryPart,
    MemberReceipt,
    PollVote,
    RawMessage,
    Reaction,
    Revision,
)
from messaging.states import RARE, Direction, Origin, Status

__all__ = [
    "Call",
    "Chat",
    "Contact",
    "EarlyChange",
    "EarlyReceipt",
    "Group",
    "HistoryPart",
    "MemberReceipt",
    "Message",
    "PollVote",
    "RawMessage",
    "Reaction",
    "Revision",
]

SECRET_BYTES = 32


class Message(models.Model):
    """A message sent or received by an instance: the ledger's row, committed before anything else happens."""

    id = TypeIDField(prefix="msg", primary_key=True)
    # No indexes of the foreign keys: those below begin with them, and each costs with every change of status.
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", db_index=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="messages", db_index=False)
    direction = models.CharField(max_length=8, choices=Direction.choices)
    status = models.CharField(max_length=11, choices=Status.choices)
    type = models.CharField(max_length=20)
    content = models.JSONField()
    attributes = models.JSONField(
        default=dict, help_text="What goes with the content: context, mentions, view_once, forwarded …"
    )
    media = models.ForeignKey(Media, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    text = models.TextField(blank=True, default="", help_text="What the full-text search finds it by")
    chat = models.CharField(max_length=60, help_text="JID of the person or group; the phone's if it is known")
    chat_lid = models.CharField(max_length=60, null=True)
    sender_phone = models.CharField(max_length=20, null=True)
    sender_lid = models.CharField(max_length=60, null=True)
    sender_name = models.CharField(max_length=200, blank=True, default="")
    origin = models.CharField(
        max_length=9,
        choices=Origin.choices,
        null=True,
        help_text="Null: what others sent",
    )
    history = models.BooleanField(default=False, help_text="Came with the history when the number was linked")

    wa_id = models.CharField(max_length=80, null=True, help_text="WhatsApp's id of the message")
    secret = models.BinaryField(
        max_length=SECRET_BYTES, default=partial(secrets.token_bytes, SECRET_BYTES), editable=False
    )
    client_ref = models.CharField(max_length=200, null=True)
    unique_ref = models.CharField(max_length=200, null=True, help_text="client_ref, where it must be unique")
    error_code = models.CharField(max_length=40, null=True)
    error_detail = models.CharField(max_length=500, null=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    created_at = models.DateTimeField(default=timezone.now)
    send_at = models.DateTimeField(null=True, help_text="When the sender wants it to leave")
    not_before = models.DateTimeField(null=True, help_text="The lane leaves it alone until then")
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    played_at = models.DateTimeField(null=True)
    edited_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "wa_id", "direction"],
                condition=models.Q(wa_id__isnull=False),
                name="one_row_for_each_whatsapp_id",
            ),
            models.UniqueConstraint(
                fields=["instance", "unique_ref"],
                condition=models.Q(unique_ref__isnull=False),
                name="one_message_for_a_unique_ref",
            ),
        ]
        indexes = [
            models.Index(fields=["instance", "id"], name="lane", condition=models.Q(status__in=["queued", "sending"])),
            models.Index(fields=["send_at"], name="schedule", condition=models.Q(status="scheduled")),
            models.Index(
                fields=["instance", "chat", "id"], name="waiting", condition=models.Q(status__in=["preparing", "held"])
            ),
            models.Index(
                fields=["instance", "chat", "id"],
                name="delayed",
                condition=models.Q(status="queued", not_before__isnull=False),
            ),
            models.Index(fields=["organization", "-id"], name="listing"),
            models.Index(fields=["instance", "-id"], name="listing_of_instance"),
            models.Index(fields=["instance", "chat", "-id"], name="conversation"),
            # What is rare among the rows of an instance, so that nobody has to read them all to find it.
            models.Index(fields=["instance", "-id"], name="listing_inbound", condition=models.Q(direction="inbound")),
            models.Index(
                fields=["instance", "status", "-id"],
                name="listing_by_rare_status",
                condition=models.Q(status__in=RARE),
            ),
            models.Index(fields=["instance", "type", "-id"], name="listing_by_type", condition=~models.Q(type="text")),
            models.Index(
                fields=["organization", "client_ref"],
                name="listing_by_ref",
                condition=models.Q(client_ref__isnull=False),
            ),
            models.Index(fields=["media"], name="messages_of_media", condition=models.Q(media__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.id


class Contact(models.Model):
    """Somebody an instance has to do with: the phone number and the LID are one person."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    phone = models.CharField(max_length=20, null=True)
    lid = models.CharField(max_length=60, null=True)
    name = models.CharField(max_length=200, blank=True, default="", help_text="As the person calls itself")
    on_whatsapp = models.BooleanField(null=True)
    checked_at = models.DateTimeField(null=True, help_text="When WhatsApp was asked about the phone number")
    business_name = models.CharField(max_length=200, blank=True, default="", help_text="Verified by WhatsApp")
    available = models.BooleanField(null=True, help_text="Whether it was online when WhatsApp last told")
    last_seen_at = models.DateTimeField(null=True)
    presence_at = models.DateTimeField(null=True, help_text="When WhatsApp last told of its presence")
    met_at = models.DateTimeField(null=True, help_text="When a first message reached it; outlives the messages")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance", "phone"], condition=models.Q(phone__isnull=False), name="one_contact_for_a_phone"
            ),
            models.UniqueConstraint(
                fields=["instance", "lid"], condition=models.Q(lid__isnull=False), name="one_contact_for_a_lid"
            ),
        ]

    def __str__(self) -> str:
        return self.phone or self.lid or ""


class Chat(models.Model):
    """A conversation of an instance: with a person, whatever their JIDs, a group, a channel, or the status posts.

    Written by the session worker's writer only, with the instance locked.
    """

    class Kind(models.TextChoices):
        PERSON = "person"
        GROUP = "group"
        NEWSLETTER = "newsletter"
        STATUS = "status"

    id = TypeIDField(prefix="cht", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", db_index=False)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="chats", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    jid = models.CharField(max_length=60, help_text="As in the chat column of messages: the phone's if it is known")
    lid = models.CharField(max_length=60, null=True)
    name = models.CharField(max_length=200, blank=True, default="")
    # No foreign key: a purge of messages need not look here.
    last_message_id = TypeIDField(prefix="msg", null=True)
    last_at = models.DateTimeField()
    unread = models.PositiveIntegerField(default=0, help_text="Received messages after read_to")
    read_to = TypeIDField(prefix="msg", null=True, help_text="Everything up to this message was read")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "jid"], name="one_chat_for_a_jid")]
        indexes = [
            models.Index(fields=["instance", "-last_at", "-id"], name="chats_by_time"),
            models.Index(fields=["instance", "lid"], name="chats_by_lid", condition=models.Q(lid__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name or self.jid


class Erasure(models.Model):
    """The deletion of all that is kept of one person by an instance. Whom it concerned is forgotten with its end."""

    class Status(models.TextChoices):
        RUNNING = "running"
        DONE = "done"

    id = TypeIDField(prefix="ers", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    phone = models.CharField(max_length=20, null=True)
    lid = models.CharField(max_length=60, null=True)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.RUNNING)
    messages = models.PositiveIntegerField(default=0, help_text="Deleted")
    heard_to = TypeIDField(prefix="msg", null=True, help_text="What was received has been gone through up to here")
    events = models.PositiveIntegerField(default=0, help_text="Whose data was taken out")
    events_to = models.BigIntegerField(default=0, help_text="The log has been gone through up to this sequence")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="erasures_to_do", condition=models.Q(status="running"))]

    def __str__(self) -> str:
        return self.id


class SendingState(models.Model):
    """What limits an instance's sends and must outlive its worker: a hold of cold contacts, and the day's new ones."""

    instance = models.OneToOneField(Instance, on_delete=models.CASCADE, primary_key=True, related_name="+")
    cold_since = models.DateTimeField(null=True, help_text="Since when WhatsApp refuses new contacts")
    cold_until = models.DateTimeField(null=True, help_text="When one message is tried again")
    cold_seconds = models.PositiveIntegerField(default=0, help_text="How long the present hold is")
    new_contacts_day = models.DateField(null=True)
    new_contacts = models.PositiveIntegerField(default=0, help_text="How many were written to on that day")

    def __str__(self) -> str:
        return str(self.pk)


class LinkPreview(models.Model):
    """The picture of a page that a text links to; its words are in the text's content."""

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="+")
    thumbnail = models.BinaryField(help_text="JPEG")

    def __str__(self) -> str:
        return self.message_id


class EarlyReceipt(models.Model):
    """A receipt for a message whose id is not in the ledger yet; it is applied when the id arrives."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    wa_id = models.CharField(max_length=80)
    kind = models.CharField(max_length=10)
    at = models.DateTimeField()
    phone = models.CharField(max_length=20, null=True, help_text="Of the member it is from, in a group")
    lid = models.CharField(max_length=60, null=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["instance", "wa_id"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.wa_id}"

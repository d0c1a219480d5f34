from __future__ import annotations

from django.db import models
from django.utils import timezone

from instances.models import Instance


class ByPerson(models.Model):
    """Something that one person did to a message; ``phone`` and ``lid`` are both null for the number's owner."""

    phone = models.CharField(max_length=20, null=True)
    lid = models.CharField(max_length=60, null=True)
    name = models.CharField(max_length=200, blank=True, default="")
    at = models.DateTimeField()

    class Meta:
        abstract = True


class Reaction(ByPerson):
    """The reaction of somebody to a message: one for each person, the latest."""

    message = models.ForeignKey("messaging.Message", on_delete=models.CASCADE, related_name="reactions")
    emoji = models.CharField(max_length=100)

    class Meta:
        indexes = [models.Index(fields=["phone"]), models.Index(fields=["lid"])]

    def __str__(self) -> str:
        return f"{self.emoji} {self.message_id}"


class PollVote(ByPerson):
    """What somebody chose in a poll: one row for each person, the latest vote."""

    message = models.ForeignKey("messaging.Message", on_delete=models.CASCADE, related_name="votes")
    options = models.JSONField(help_text="Texts of the chosen options; empty when the vote was taken back")

    class Meta:
        indexes = [models.Index(fields=["phone"]), models.Index(fields=["lid"])]

    def __str__(self) -> str:
        return f"vote {self.message_id}"


class Revision(models.Model):
    """What a message said before it was edited."""

    message = models.ForeignKey("messaging.Message", on_delete=models.CASCADE, related_name="revisions")
    content = models.JSONField()
    at = models.DateTimeField(help_text="When it ceased to be what the message says")

    def __str__(self) -> str:
        return f"revision {self.message_id}"


class MemberReceipt(models.Model):
    """How far a message to many has come with one of them."""

    message = models.ForeignKey("messaging.Message", on_delete=models.CASCADE, related_name="member_receipts")
    member = models.CharField(max_length=60, help_text="LID if it is known, else the phone's JID")
    phone = models.CharField(max_length=20, null=True)
    lid = models.CharField(max_length=60, null=True)
    delivered_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)
    played_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "member"], name="one_receipt_of_a_member")]
        indexes = [models.Index(fields=["phone"]), models.Index(fields=["lid"])]

    def __str__(self) -> str:
        return f"{self.member} {self.message_id}"


class RawMessage(models.Model):
    """The protobuf of a message as it was received: waE2E.Message, serialized, compressed with zlib."""

    message = models.OneToOneField(
        "messaging.Message", on_delete=models.CASCADE, primary_key=True, related_name="raw_message"
    )
    data = models.BinaryField()

    def __str__(self) -> str:
        return f"raw {self.message_id}"


class EarlyChange(models.Model):
    """A change whose target is not in the ledger yet; it is applied when the target arrives."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    wa_id = models.CharField(max_length=80, help_text="Of the target")
    change = models.OneToOneField("messaging.Message", on_delete=models.CASCADE, related_name="+")
    purpose = models.CharField(max_length=20, blank=True, default="", help_text="Of the sealed part")
    iv = models.BinaryField(default=b"")
    payload = models.BinaryField(default=b"", help_text="Sealed with the target's secret")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["instance", "wa_id"])]

    def __str__(self) -> str:
        return f"early {self.change_id}"


class Group(models.Model):
    """What is known of a group: who is in it and who its admins are."""

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    jid = models.CharField(max_length=60)
    name = models.CharField(max_length=200, blank=True, default="")
    members = models.JSONField(default=list, help_text="{phone, lid, admin} of each, ourselves included")
    size = models.PositiveIntegerField(null=True, help_text="How many they are")
    checked_at = models.DateTimeField(null=True, help_text="Null: to be asked for")
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "jid"], name="one_row_for_a_group")]
        indexes = [models.Index(fields=["instance"], name="groups_to_ask", condition=models.Q(checked_at__isnull=True))]

    def __str__(self) -> str:
        return self.jid


class HistoryPart(models.Model):
    """A part of the phone's history that waits to be imported, and how far that has come.

    When it is imported, its row stays for a while, empty: a journal may bring the same part again.
    """

    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, null=True, help_text="SHA-256 of `data`")
    data = models.BinaryField(help_text="neonize.HistorySync, serialized, compressed with zlib")
    done = models.PositiveIntegerField(default=0, help_text="How many of its messages are dealt with")
    messages = models.PositiveIntegerField(default=0, help_text="How many were new")
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(
        default=timezone.now, null=True, db_index=True, help_text="Null: nothing is left to do"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "digest"], name="one_part_once")]

    def __str__(self) -> str:
        return f"history of {self.instance_id}"

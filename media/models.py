from __future__ import annotations

from django.db import models
from django.utils import timezone

from accounts.models import Organization
from config.fields import EncryptedTextField
from config.ids import TypeIDField
from instances.models import Instance, Network


class Source(models.TextChoices):
    UPLOAD = "upload"
    LINK = "link"
    DATA = "data"
    INBOUND = "inbound"


class Status(models.TextChoices):
    PENDING = "pending"
    STORED = "stored"
    FAILED = "failed"
    EXPIRED = "expired"


class Kind(models.TextChoices):
    """What WhatsApp is to show a file as."""

    IMAGE = "image"
    VIDEO = "video"
    GIF = "gif"
    ROUND = "round"
    AUDIO = "audio"
    VOICE = "voice"
    DOCUMENT = "document"
    STICKER = "sticker"


class Media(models.Model):
    """A file of an organization: uploaded, given in a request, to be fetched from a link, or received."""

    id = TypeIDField(prefix="med", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    network = models.CharField(
        max_length=10, choices=Network.choices, null=True, help_text="Null: uploaded by a person, for either network"
    )
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, null=True, related_name="+")
    source = models.CharField(max_length=7, choices=Source.choices)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.PENDING)
    file = models.CharField(max_length=200, blank=True, default="", help_text="Its key in the storage")
    mime_type = models.CharField(max_length=100, blank=True, default="", help_text="By content, not by claim")
    size = models.PositiveBigIntegerField(null=True, help_text="Bytes")
    sha256 = models.CharField(max_length=64, blank=True, default="")
    filename = models.CharField(max_length=255, blank=True, default="", help_text="As it was named; never a path")
    link = models.CharField(max_length=2000, blank=True, default="")
    remote = EncryptedTextField(null=True, help_text="Received: where WhatsApp keeps it, and its key")
    error_code = models.CharField(max_length=40, null=True)
    error_detail = models.CharField(max_length=500, null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(
        null=True, help_text="When it is to be fetched; while that is done, when somebody else may. Null: not wanted"
    )
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "media"
        indexes = [
            models.Index(fields=["organization", "-id"], name="media_listing"),
            models.Index(fields=["expires_at"], name="media_expiry", condition=models.Q(expires_at__isnull=False)),
            models.Index(
                fields=["source", "due_at"],
                name="media_to_fetch",
                condition=models.Q(status="pending", due_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.id


class Rendition(models.Model):
    """A media file made ready to be sent as one kind; ``file`` is empty when the original is sent as it is."""

    class Status(models.TextChoices):
        PREPARING = "preparing"
        READY = "ready"
        FAILED = "failed"

    media = models.ForeignKey(Media, on_delete=models.CASCADE, related_name="renditions")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PREPARING)
    file = models.CharField(max_length=200, blank=True, default="")
    mime_type = models.CharField(max_length=100, blank=True, default="")
    size = models.PositiveBigIntegerField(null=True)
    seconds = models.FloatField(null=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    thumbnail = models.BinaryField(null=True, help_text="JPEG")
    waveform = models.BinaryField(null=True, help_text="64 bytes from 0 to 100")
    error_code = models.CharField(max_length=40, null=True)
    error_detail = models.CharField(max_length=500, null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(
        default=timezone.now, help_text="When it is to be made; while that is done, when somebody else may"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["media", "kind"], name="one_rendition_of_a_kind")]
        indexes = [models.Index(fields=["due_at"], name="renditions_to_make", condition=models.Q(status="preparing"))]

    def __str__(self) -> str:
        return f"{self.media_id} as {self.kind}"


class Upload(models.Model):
    """Where WhatsApp keeps a rendition, encrypted, after an instance uploaded it: sent again without another upload."""

    rendition = models.ForeignKey(Rendition, on_delete=models.CASCADE, related_name="uploads")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="+")
    newsletter = models.BooleanField(default=False, help_text="Channels take files unencrypted")
    reference = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rendition", "instance", "newsletter"], name="one_upload_of_a_rendition")
        ]

    def __str__(self) -> str:
        return f"{self.rendition_id} by {self.instance_id}"


class Storage(models.Model):
    """How many bytes an organization keeps with us; moves in the transactions that make and delete files' rows."""

    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, primary_key=True, related_name="+")
    bytes = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.organization_id}: {self.bytes}"


class Garbage(models.Model):
    """A file in the storage that no row names any more, or none yet: to be deleted once ``due_at`` has come."""

    file = models.CharField(max_length=200, unique=True)
    due_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.file

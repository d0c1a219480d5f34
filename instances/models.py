from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Organization
from config.fields import EncryptedTextField
from config.ids import TypeIDField
from instances.states import State, Wanted


class Network(models.TextChoices):
    SANDBOX = "sandbox"
    WHATSAPP = "whatsapp", "WhatsApp"


class KeyStore(models.TextChoices):
    """Where the keys of a link are."""

    FILE = "file"
    POSTGRES = "postgres", "PostgreSQL"


class WorkerQuerySet(models.QuerySet["Worker"]):
    def live(self) -> WorkerQuerySet:
        """Those that gave a sign of life within the time of a lease; an older one holds nothing any more."""
        return self.filter(heartbeat_at__gt=timezone.now() - timedelta(seconds=settings.LEASE_SECONDS))

    def taking(self) -> WorkerQuerySet:
        """Those of them that take numbers: not on their way out."""
        return self.live().filter(draining_since=None)


class Worker(models.Model):
    """One start of a session worker process. Only the process itself writes its row while it lives."""

    id = TypeIDField(prefix="wrk", primary_key=True)
    name = models.CharField(max_length=200, help_text="Celery's node name; a restart keeps it")
    network = models.CharField(max_length=10, choices=Network.choices)
    queue = models.CharField(max_length=250)
    machine = models.CharField(max_length=250, help_text="Host, boot and process namespace: where the pid counts")
    pid = models.PositiveIntegerField()
    capacity = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now, db_index=True)
    draining_since = models.DateTimeField(null=True, help_text="It gives its numbers away and ends")
    # As of the last heartbeat.
    descriptors = models.PositiveIntegerField(default=0, help_text="Open file descriptors")
    store_connections = models.PositiveIntegerField(default=0, help_text="Those of them that are session stores")
    threads = models.PositiveIntegerField(default=0)
    memory_bytes = models.PositiveBigIntegerField(default=0, help_text="Resident")
    cpu = models.FloatField(default=0.0, help_text="Processors kept busy since the heartbeat before")

    objects = WorkerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class InstanceQuerySet(models.QuerySet["Instance"]):
    def present(self) -> InstanceQuerySet:
        """Without those that were deleted and are still being cleared away."""
        return self.filter(deleted_at=None)


class Instance(models.Model):
    """One WhatsApp number of one organization.

    ``holder``, ``epoch`` and ``lease_until`` are the lease: only the holder of the current epoch may write
    the columns of the connection, and every such write carries both in its filter.
    """

    id = TypeIDField(prefix="ins", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="instances")
    name = models.CharField(max_length=100)
    settings = models.JSONField(default=dict, help_text="What differs from the defaults")
    proxy = EncryptedTextField(null=True, help_text="URL with credentials, through which the number connects")
    labels = models.JSONField(default=dict, help_text="Each one a key, by which both databases find it")
    metadata = models.JSONField(default=dict, help_text="The tenant's own keys and texts")
    network = models.CharField(max_length=10, choices=Network.choices)
    wanted = models.CharField(max_length=10, choices=Wanted.choices, default=Wanted.STOPPED)
    state = models.CharField(max_length=12, choices=State.choices, default=State.CREATED)
    reason = models.CharField(max_length=30, default="new")
    detail = models.CharField(max_length=500, blank=True, default="")
    state_since = models.DateTimeField(default=timezone.now)
    banned_until = models.DateTimeField(null=True)
    connected_at = models.DateTimeField(null=True, help_text="Last time the number came online")

    device_jid = models.CharField(max_length=100, null=True, help_text="The linked device, as the store knows it")
    phone = models.CharField(max_length=20, null=True)
    lid = models.CharField(max_length=50, null=True)

    key_store = models.CharField(
        max_length=10,
        choices=KeyStore.choices,
        default=KeyStore.FILE,
        help_text="Where the keys of the link are; only this store may be opened",
    )

    link_phone = models.CharField(max_length=20, null=True, help_text="Asked for a pairing code for this number")
    qr_code = models.CharField(max_length=500, null=True)
    qr_expires_at = models.DateTimeField(null=True)
    pairing_code = models.CharField(max_length=20, null=True)

    holder = models.ForeignKey(Worker, on_delete=models.SET_NULL, null=True, related_name="held")
    epoch = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    restarts = models.PositiveIntegerField(default=0, help_text="A holder that knows another number begins anew")

    # What was being connected when its worker died is suspected of it: instances/holding/suspects.py.
    probation_since = models.DateTimeField(null=True, help_text="Being connected, and not proven harmless since")
    crashes = models.PositiveSmallIntegerField(default=0, help_text="Workers that died while it was on probation")
    crashed_at = models.DateTimeField(null=True, help_text="The last time one did")
    quarantines = models.PositiveSmallIntegerField(default=0, help_text="How often it was put into quarantine")
    quarantined_until = models.DateTimeField(null=True, help_text="Not connected before")

    deleted_at = models.DateTimeField(null=True, help_text="Gone for its tenant; the rest follows")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = InstanceQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-id"]),
            models.Index(fields=["network", "wanted"]),
            models.Index(fields=["phone"], name="linked_numbers", condition=models.Q(device_jid__isnull=False)),
            models.Index(fields=["deleted_at"], name="to_remove", condition=models.Q(deleted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def jid(self) -> str | None:
        """The number's JID, without the device."""
        return f"{self.phone}@s.whatsapp.net" if self.phone else None

    @property
    def linked(self) -> bool:
        return self.device_jid is not None


class ConnectionChange(models.Model):
    """One step in the history of an instance's connection: the state it came into, and why."""

    id = TypeIDField(prefix="chg", primary_key=True)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="history", db_index=False)
    at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=State.choices)
    reason = models.CharField(max_length=30)
    detail = models.CharField(max_length=500, blank=True, default="")
    worker = models.CharField(max_length=200, blank=True, default="", help_text="Who held the number")

    class Meta:
        indexes = [models.Index(fields=["instance", "-id"], name="history_of_instance")]

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}"


class LinkPage(models.Model):
    """A page that links an instance, for whoever has its address: one link, within some minutes.

    The token is in the fragment of the address and nowhere else; here is its SHA-256.
    """

    id = TypeIDField(prefix="lnp", primary_key=True)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="link_pages")
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True, help_text="When the number was linked")
    revoked_at = models.DateTimeField(null=True)
    codes_asked = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance"],
                condition=models.Q(used_at=None, revoked_at=None),
                name="one_open_link_page_of_an_instance",
            )
        ]

    def __str__(self) -> str:
        return self.id

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from instances.models import Instance, Worker


@admin.register(Instance)
class InstanceAdmin(ReadOnlyAdmin):
    """Operators look; what a number does is decided by its tenant and its worker."""

    list_display = ["name", "organization", "network", "state", "reason", "phone", "state_since"]
    list_filter = ["network", "state", "wanted"]
    search_fields = ["name", "phone", "lid", "organization__name"]
    list_select_related = ["organization"]
    exclude = ["qr_code", "pairing_code"]


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ["name", "network", "pid", "capacity", "started_at", "heartbeat_at"]
    list_filter = ["network"]
    search_fields = ["name"]

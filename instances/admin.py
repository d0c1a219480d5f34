from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from instances.models import Instance, Worker


@admin.register(Instance)
class InstanceAdmin(ModelAdmin):
    """Operators look; what a number does is decided by its tenant and its worker."""

    list_display = ["name", "id", "organization", "network", "state", "reason", "phone", "holder", "state_since"]
    list_filter = ["network", "state", "wanted"]
    search_fields = ["name", "phone", "lid", "organization__name"]
    list_select_related = ["organization", "holder"]
    exclude = ["qr_code", "pairing_code"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Instance | None = None) -> bool:
        return False


@admin.register(Worker)
class WorkerAdmin(ModelAdmin):
    list_display = ["name", "network", "pid", "capacity", "started_at", "heartbeat_at"]
    list_filter = ["network"]
    search_fields = ["name"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Worker | None = None) -> bool:
        return False

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from messaging.models import Message


@admin.register(Message)
class MessageAdmin(ModelAdmin):
    """Operators look; nobody edits the ledger. Contents stay out of the list."""

    list_display = ["id", "instance", "direction", "status", "type", "chat", "created_at"]
    list_filter = ["direction", "status", "type"]
    search_fields = ["=wa_id", "chat", "client_ref", "instance__name"]
    list_select_related = ["instance"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Message | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Message | None = None) -> bool:
        return False

from django.contrib import admin

from config.admin import ReadOnlyAdmin
from messaging.models import Message


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """The ledger. Contents stay out of the list."""

    list_display = ["id", "instance", "direction", "status", "type", "chat", "created_at"]
    list_filter = ["direction", "status", "type"]
    search_fields = ["=wa_id", "chat", "client_ref", "instance__name"]
    list_select_related = ["instance"]

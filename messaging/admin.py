from __future__ import annotations

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from config.admin import LogAdmin, linked
from instances.whatsapp.jids import PHONE
from messaging import dashboard
from messaging.models import Message
from messaging.states import Status


@admin.register(Message)
class MessageAdmin(LogAdmin):
    """The ledger without its contents: operators see that and when something was said, and not what."""

    list_display = [
        "created_at", linked("organization"), linked("instance"), "direction", "type", "status_label", "chat",
        "error_code",
    ]  # fmt: skip
    list_filter = ["direction", "status", "type"]
    search_fields = ["=wa_id", "=chat", "=client_ref"]
    search_help_text = "A whole JID, phone number, WhatsApp id or client_ref, or an id: msg_…, ins_…, org_…"
    id_fields = {"ins": "instance", "org": "organization"}
    list_select_related = ["instance", "organization"]
    fieldsets = [
        ("Message", {"fields": ["id", "organization", "instance", "direction", "type", "status"]}),
        ("People", {"fields": ["chat", "chat_lid", "sender_phone", "sender_lid"]}),
        ("Marks", {"fields": ["wa_id", "client_ref", "origin", "attempts", "error_code", "error_detail"]}),
        ("Times", {"fields": ["created_at", "send_at", "not_before", "sent_at", "delivered_at", "read_at"]}),
    ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        number = search_term.strip().removeprefix("+")
        if number.isascii() and number.isdigit():
            return queryset.filter(Q(chat=f"{number}@{PHONE}") | Q(sender_phone=number) | Q(client_ref=number)), False
        return super().get_search_results(request, queryset, search_term)

    @display(description="status", label={status: tone or "default" for status, tone in dashboard.TONES.items()})
    def status_label(self, message: Message) -> tuple[str, str]:
        return message.status, Status(message.status).label

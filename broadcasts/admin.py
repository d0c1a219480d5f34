from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from broadcasts import services
from broadcasts.models import Broadcast, OptOut, Recipient, Template
from broadcasts.states import State, before
from config.admin import LogAdmin, ReadOnlyAdmin, linked

_TONES = {
    State.DRAFT: "default",
    State.SCHEDULED: "info",
    State.RUNNING: "info",
    State.PAUSED: "warning",
    State.COMPLETED: "success",
    State.CANCELLED: "danger",
}


@admin.register(Template)
class TemplateAdmin(ReadOnlyAdmin):
    """Without the message, which is for the tenant alone."""

    list_display = ["name", linked("organization"), "created_at", "updated_at"]
    search_fields = ["name", "organization__name"]
    search_help_text = "A name, an organization's name, or an id: tpl_…, org_…"
    id_fields = {"org": "organization"}
    list_select_related = ["organization"]
    ordering = ["-id"]
    fields = ["id", "organization", "name", "created_at", "updated_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Template]:
        return super().get_queryset(request).defer("message")


@admin.register(Broadcast)
class BroadcastAdmin(LogAdmin):
    """Without the message, which is for the tenant alone."""

    list_display = ["created_at", "name", linked("organization"), "network", "state_label", "reason", "accepted"]
    list_filter = ["state", "network"]
    search_fields = ["name"]
    search_help_text = "A name, or an id: bct_…, org_…, ins_…"
    id_fields = {"org": "organization", "ins": "senders__instance"}
    list_select_related = ["organization"]
    fieldsets = [
        ("Broadcast", {"fields": ["id", "organization", "network", "name", "template", "state", "reason"]}),
        ("Recipients", {"fields": ["accepted", "duplicate", "invalid", "opted_out"]}),
        ("Times", {"fields": ["created_at", "start_at", "started_at", "next_at", "ended_at"]}),
        ("Manner", {"fields": ["per_minute", "quiet_hours"]}),
    ]
    actions_detail = ["pause", "cancel"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Broadcast]:
        return super().get_queryset(request).defer("message")

    @display(description="state", label={str(state): tone for state, tone in _TONES.items()})
    def state_label(self, broadcast: Broadcast) -> tuple[str, str]:
        return broadcast.state, State(broadcast.state).label

    def offers(self, action: str, obj: Any) -> bool:
        return obj.state in before(State.PAUSED if action == "pause" else State.CANCELLED)

    @action(
        description="Pause",
        icon="pause",
        permissions=["act"],
        dialog={
            "title": "Pause this broadcast?",
            "description": "It sends nothing more until the tenant resumes it.",
            "form_class": None,
            "form_submit_text": "Pause",
        },
    )
    def pause(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(broadcast: Broadcast) -> str:
            services.pause(broadcast=broadcast)
            return "The broadcast is paused."

        return self.act(request, object_id, work)

    @action(
        description="Cancel",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["act"],
        dialog={
            "title": "Cancel this broadcast?",
            "description": "It sends nothing more, and what waits in the lanes is cancelled.",
            "form_class": None,
            "form_submit_text": "Cancel the broadcast",
        },
    )
    def cancel(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(broadcast: Broadcast) -> str:
            services.cancel(broadcast=broadcast)
            return "The broadcast is cancelled."

        return self.act(request, object_id, work)


@admin.register(Recipient)
class RecipientAdmin(LogAdmin):
    """Without the variables, which are for the tenant alone."""

    list_display = [linked("broadcast"), "to", "state", "error_code", "message_id"]
    list_filter = ["state"]
    search_fields = ["=to"]
    search_help_text = "A JID, or an id: rcp_…, bct_…, msg_…"
    id_fields = {"bct": "broadcast", "msg": "message_id"}
    list_select_related = ["broadcast"]
    fields = ["id", "broadcast", "to", "client_ref", "state", "error_code", "error_detail", "message_id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Recipient]:
        return super().get_queryset(request).defer("variables", "broadcast__message")


@admin.register(OptOut)
class OptOutAdmin(LogAdmin):
    list_display = ["created_at", linked("organization"), "network", "phone", "lid", "source", linked("instance")]
    list_filter = ["source", "network"]
    search_fields = ["=phone", "=lid"]
    search_help_text = "A phone number, a LID, or an id: opt_…, org_…, ins_…"
    id_fields = {"org": "organization", "ins": "instance"}
    list_select_related = ["organization", "instance"]
    fields = ["id", "organization", "network", "phone", "lid", "source", "instance", "created_at"]

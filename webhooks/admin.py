from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from config.admin import LogAdmin, ReadOnlyAdmin, linked
from webhooks import services
from webhooks.models import Attempt, Delivery, Endpoint, Event

_DELIVERY_TONES = {
    Delivery.State.PENDING: "warning",
    Delivery.State.DELIVERING: "info",
    Delivery.State.SUCCEEDED: "success",
    Delivery.State.FAILED: "danger",
}


@admin.register(Event)
class EventAdmin(LogAdmin):
    """The log without its data, which holds what tenants write."""

    list_display = ["timestamp", "type", linked("organization"), "network", "instance_id", "sequence"]
    list_filter = ["network", "type"]
    search_fields = ["=type"]
    search_help_text = "A type, or an id: evt_…, ins_…, org_…"
    id_fields = {"ins": "instance_id", "org": "organization"}
    list_select_related = ["organization"]
    fields = ["id", "type", "organization", "network", "instance_id", "sequence", "timestamp"]


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    list_display = ["url", linked("organization"), "mode", "enabled", "disabled_reason", "created_at", "deleted_at"]
    list_filter = ["enabled", "mode"]
    search_fields = ["url", "description", "organization__name"]
    search_help_text = "A URL, a description, an organization's name, or an id: whk_…, org_…"
    id_fields = {"org": "organization"}
    list_select_related = ["organization"]
    ordering = ["-id"]
    fieldsets = [
        ("Endpoint", {"fields": ["id", "organization", "url", "description", "created_at", "deleted_at"]}),
        ("Wants", {"fields": ["mode", "events", "instances"]}),
        ("State", {"fields": ["enabled", "disabled_reason"]}),
    ]
    actions_detail = ["enable", "disable"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return super().get_queryset(request).defer("secret")

    def offers(self, action: str, obj: Any) -> bool:
        return obj.deleted_at is None and (obj.enabled if action == "disable" else not obj.enabled)

    @action(
        description="Enable",
        icon="play_arrow",
        permissions=["act"],
        dialog={
            "title": "Enable this endpoint?",
            "description": "What is still open is delivered at once.",
            "form_class": None,
            "form_submit_text": "Enable",
        },
    )
    def enable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(endpoint: Endpoint) -> str:
            services.change_endpoint(endpoint=endpoint, enabled=True)
            return "The endpoint is enabled."

        return self.act(request, object_id, work)

    @action(
        description="Disable",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["act"],
        dialog={
            "title": "Disable this endpoint?",
            "description": "New events are not delivered to it, and what is open waits until it is enabled again.",
            "form_class": None,
            "form_submit_text": "Disable",
        },
    )
    def disable(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(endpoint: Endpoint) -> str:
            reason = "An operator disabled it."
            services.change_endpoint(endpoint=endpoint, enabled=False, disabled_reason=reason)
            return "The endpoint is disabled."

        return self.act(request, object_id, work)


class AttemptInline(TabularInline):
    """The receiver's reply stays out: it may repeat what was sent to it."""

    model = Attempt
    hide_title = True
    fields = readonly_fields = ["at", "status", "error", "duration_ms"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Delivery)
class DeliveryAdmin(LogAdmin):
    list_display = ["at", "type", linked("endpoint"), "state_label", "attempt_count", "next_attempt_at"]
    list_filter = ["state"]
    search_fields = ["=event__type"]
    search_help_text = "An event's type, or an id: dlv_…, evt_…, whk_…, ins_…"
    id_fields = {"evt": "event", "whk": "endpoint", "ins": "event__instance_id"}
    list_select_related = ["event", "endpoint"]
    fields = ["id", "endpoint", "event", "state", "attempt_count", "next_attempt_at"]
    inlines = [AttemptInline]
    actions_detail = ["resend"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return super().get_queryset(request).defer("endpoint__secret", "event__data")

    @admin.display(description="event's time")
    def at(self, delivery: Delivery) -> datetime:
        return delivery.event.timestamp

    @admin.display(description="event")
    def type(self, delivery: Delivery) -> str:
        return delivery.event.type

    @display(description="state", label=_DELIVERY_TONES)
    def state_label(self, delivery: Delivery) -> tuple[str, str]:
        return delivery.state, delivery.get_state_display()

    def offers(self, action: str, obj: Any) -> bool:
        return obj.next_attempt_at is None and obj.endpoint.enabled

    @action(
        description="Resend",
        icon="replay",
        permissions=["act"],
        dialog={
            "title": "Send this event again?",
            "description": "The receiver gets it once more, with the same id.",
            "form_class": None,
            "form_submit_text": "Resend",
        },
    )
    def resend(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(delivery: Delivery) -> str:
            sent = services.resend(delivery=delivery)
            return "The event is on its way." if sent else "The event was on its way already."

        return self.act(request, object_id, work)

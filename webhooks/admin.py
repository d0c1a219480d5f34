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
from webhooks import replays, sending, services, states
from webhooks.models import Attempt, Delivery, Endpoint, Event, Replay

_DELIVERY_TONES = {
    Delivery.State.PENDING: "warning",
    Delivery.State.DELIVERING: "info",
    Delivery.State.SUCCEEDED: "success",
    Delivery.State.FAILED: "danger",
}
_ENDPOINT_TONES = {
    states.State.ACTIVE: "success",
    states.State.FAILING: "warning",
    states.State.DISABLED: "danger",
}
_REPLAY_TONES = {
    Replay.State.RUNNING: "info",
    Replay.State.COMPLETED: "success",
    Replay.State.CANCELLED: "warning",
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
    list_display = ["url", linked("organization"), "mode", "state_label", "reason", "since", "created_at", "deleted_at"]
    list_filter = ["enabled", "mode"]
    search_fields = ["url", "description", "organization__name"]
    search_help_text = "A URL, a description, an organization's name, or an id: whk_…, org_…"
    id_fields = {"org": "organization"}
    list_select_related = ["organization"]
    ordering = ["-id"]
    fieldsets = [
        ("Endpoint", {"fields": ["id", "organization", "url", "description", "created_at", "deleted_at"]}),
        ("Wants", {"fields": ["mode", "events", "instances", "chat_kinds", "ordering"]}),
        ("State", {"fields": ["state_label", "reason", "since", "warnings", "warned_at"]}),
    ]
    actions_detail = ["enable", "disable"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return super().get_queryset(request).defer("secret", "old_secrets", "headers")

    @display(description="state", label=_ENDPOINT_TONES)
    def state_label(self, endpoint: Endpoint) -> tuple[str, str]:
        state = states.standing(endpoint).state
        return state, state.label

    @admin.display(description="reason")
    def reason(self, endpoint: Endpoint) -> str | None:
        words = states.standing(endpoint).words
        return words.sentence if words else None

    @admin.display(description="since")
    def since(self, endpoint: Endpoint) -> datetime | None:
        return states.standing(endpoint).since

    def offers(self, action: str, obj: Any) -> bool:
        return obj.deleted_at is None and (obj.enabled if action == "disable" else not obj.enabled)

    @action(
        description="Enable",
        icon="play_arrow",
        permissions=["act"],
        dialog={
            "title": "Enable this endpoint?",
            "description": "Its failures are forgotten, and what is still open is delivered at once.",
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
            services.change_endpoint(endpoint=endpoint, enabled=False, by=Endpoint.Disabled.OPERATOR)
            return "The endpoint is disabled."

        return self.act(request, object_id, work)


class AttemptInline(TabularInline):
    """The receiver's reply stays out: it may repeat what was sent to it."""

    model = Attempt
    hide_title = True
    fields = readonly_fields = ["at", "status", "error", "duration_ms", "request_id"]
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
    search_fields = ["=type"]
    search_help_text = "An event's type, or an id: dlv_…, evt_…, whk_…, ins_…"
    id_fields = {"evt": "event", "whk": "endpoint", "ins": "event__instance_id"}
    list_select_related = ["event", "endpoint"]
    fields = ["id", "endpoint", "event", "state", "attempt_count", "next_attempt_at", "replay"]
    inlines = [AttemptInline]
    actions_detail = ["resend"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return (
            super()
            .get_queryset(request)
            .defer("endpoint__secret", "endpoint__old_secrets", "endpoint__headers", "event__data")
        )

    @admin.display(description="event's time")
    def at(self, delivery: Delivery) -> datetime:
        return delivery.event.timestamp

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
            sent = sending.resend(delivery=delivery)
            return "The event is on its way." if sent else "The event was on its way already."

        return self.act(request, object_id, work)


@admin.register(Replay)
class ReplayAdmin(LogAdmin):
    list_display = [
        "created_at",
        "kind",
        linked("endpoint"),
        linked("organization"),
        "state_label",
        "matched",
        "created",
    ]
    list_filter = ["state", "kind"]
    search_fields = ["=id"]
    search_help_text = "An id: rpl_…, whk_…, org_…"
    id_fields = {"whk": "endpoint", "org": "organization"}
    list_select_related = ["endpoint", "organization"]
    fieldsets = [
        ("Replay", {"fields": ["id", "kind", "endpoint", "organization", "created_at"]}),
        ("Wants", {"fields": ["since", "until", "types", "instances", "chat_kinds"]}),
        ("State", {"fields": ["state_label", "matched", "created", "cursor", "claimed_until", "ended_at"]}),
    ]
    actions_detail = ["cancel"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Replay]:
        return super().get_queryset(request).defer("endpoint__secret", "endpoint__old_secrets", "endpoint__headers")

    @display(description="state", label=_REPLAY_TONES)
    def state_label(self, replay: Replay) -> tuple[str, str]:
        return replay.state, replay.get_state_display()

    def offers(self, action: str, obj: Any) -> bool:
        return obj.state == Replay.State.RUNNING

    @action(
        description="Cancel",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["act"],
        dialog={
            "title": "Cancel this replay?",
            "description": "What is on its way already stays.",
            "form_class": None,
            "form_submit_text": "Cancel the replay",
        },
    )
    def cancel(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(replay: Replay) -> str:
            return "The replay is cancelled." if replays.cancel(replay=replay) else "The replay had ended already."

        return self.act(request, object_id, work)

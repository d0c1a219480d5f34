from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from config.ids import InvalidId, to_uuid
from webhooks import services
from webhooks.models import Attempt, Delivery, Endpoint, Event


class ReadOnly:
    """For rows that only the product itself writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class IdSearch:
    """Finds whole ids by their prefix (``id_fields``), and any other text as ModelAdmin does."""

    id_fields: dict[str, str] = {}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        prefix = search_term.strip().partition("_")[0]
        field = self.id_fields.get(prefix)
        if field is None:
            found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)  # type: ignore[misc]
            return found
        try:
            to_uuid(search_term.strip(), prefix)
        except InvalidId:
            return queryset.none(), False
        return queryset.filter(**{field: search_term.strip()}), False


@admin.register(Event)
class EventAdmin(ReadOnly, IdSearch, ModelAdmin):
    list_display = ["id", "type", "instance_id", "sequence", "organization", "timestamp"]
    list_filter = ["network", "type"]
    search_fields = ["type", "organization__name"]
    id_fields = {"evt": "pk", "ins": "instance_id", "org": "organization"}
    search_help_text = "A type, an organization's name, or an id: evt_…, ins_…, org_…"
    list_select_related = ["organization"]
    ordering = ["-id"]
    show_full_result_count = False


@admin.register(Endpoint)
class EndpointAdmin(IdSearch, ModelAdmin):
    list_display = ["url", "organization", "mode", "enabled", "disabled_reason", "created_at", "deleted_at"]
    list_filter = ["enabled", "mode"]
    search_fields = ["url", "description", "organization__name"]
    id_fields = {"whk": "pk", "org": "organization"}
    search_help_text = "A URL, a description, an organization's name, or an id: whk_…, org_…"
    list_select_related = ["organization"]
    ordering = ["-id"]
    readonly_fields = [
        "id", "organization", "mode", "url", "description", "events", "instances", "disabled_reason", "created_at",
        "deleted_at",
    ]  # fmt: skip
    fields = [*readonly_fields, "enabled"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    # Rows go in steps, with a later pruning: events that are being written now may still refer to them.
    def delete_model(self, request: HttpRequest, obj: Endpoint) -> None:
        services.delete_endpoint(endpoint=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        for endpoint in queryset:
            services.delete_endpoint(endpoint=endpoint)


class AttemptInline(ReadOnly, TabularInline):
    model = Attempt
    fields = ["at", "status", "error", "duration_ms", "response"]
    extra = 0


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, IdSearch, ModelAdmin):
    list_display = ["id", "event_type", "endpoint", "state", "attempt_count", "next_attempt_at"]
    list_filter = ["state"]
    search_fields = ["event__type", "endpoint__url", "endpoint__organization__name"]
    id_fields = {"dlv": "pk", "evt": "event", "whk": "endpoint", "ins": "event__instance_id"}
    search_help_text = "A type, a URL, an organization's name, or an id: dlv_…, evt_…, whk_…, ins_…"
    list_select_related = ["event", "endpoint"]
    ordering = ["-id"]
    show_full_result_count = False
    inlines = [AttemptInline]

    @admin.display(description="event")
    def event_type(self, delivery: Delivery) -> str:
        return delivery.event.type

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from config.admin import ModelAdmin, ReadOnlyAdmin, linked
from subscriptions import selectors, services
from subscriptions.models import Plan, Subscription


class PlanForm(BaseDialogForm):
    plan = forms.ModelChoiceField(Plan.objects.order_by("position", "code"), widget=UnfoldAdminSelectWidget)


class EndForm(BaseDialogForm):
    last_day = forms.DateField(
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text="It ends with this day, in UTC. Empty: it never ends.",
    )


@admin.register(Plan)
class PlanAdmin(ModelAdmin):
    """A plan that nobody should choose any more is taken from the list with ``is_public``; none is deleted."""

    recorded_by_service = True
    list_display = ["name", "code", "instances", "messages_per_month", "requests_per_minute", "is_public", "tenants"]
    search_fields = ["name", "code"]
    ordering = ["position", "code"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        return super().get_queryset(request).annotate(tenants=Count("subscriptions"))

    @display(description="organizations", ordering="tenants")
    def tenants(self, plan: Any) -> int:
        return int(plan.tenants)

    def get_readonly_fields(self, request: HttpRequest, obj: Plan | None = None) -> list[str]:
        return ["code"] if obj else []

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        services.save_plan(plan=obj)

    def has_delete_permission(self, request: HttpRequest, obj: Plan | None = None) -> bool:
        return False


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = [linked("organization"), linked("plan"), "state", "used", "started_at", "expires_at"]
    list_display_links = ["state"]
    list_filter = ["plan"]
    search_fields = ["organization__name"]
    search_help_text = "An organization's name, or an id: sub_…, org_…"
    id_fields = {"org": "organization"}
    list_select_related = ["organization", "plan"]
    ordering = ["-id"]
    fields = ["id", "organization", "plan", "started_at", "expires_at", "usage"]
    readonly_fields = ["usage"]
    actions_detail = ["change_plan", "change_end"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        return super().get_queryset(request).prefetch_related("organization__meters")

    @display(description="state", label={"active": "success", "expired": "danger", "suspended": "danger"})
    def state(self, subscription: Subscription) -> tuple[str, str]:
        state = selectors.state(subscription, timezone.now())
        return state, state.capitalize()

    @display(description="messages used")
    def used(self, subscription: Subscription) -> str:
        now = timezone.now()
        meters = [one for one in subscription.organization.meters.all() if one.network == "whatsapp"]
        return " ".join(f"{one.used if one.ends_at > now else 0:,} of {one.limit:,}" for one in meters)

    @display(description="this month")
    def usage(self, subscription: Subscription) -> SafeString:
        data = selectors.subscription_data(subscription, services.NETWORKS)
        lines = []
        for network in services.NETWORKS:
            messages, instances = data["messages"][network], data["instances"][network]
            lines.append(
                f"{network}: {messages['used']:,} of {messages['limit']:,} messages, "
                f"{instances['used']:,} of {instances['limit']:,} instances"
            )
        return format_html_join("", "<div>{}</div>", [[f"Renews {data['period']['renews_at']}"], *([x] for x in lines)])

    @action(
        description="Change plan",
        icon="sell",
        permissions=["act"],
        dialog={
            "title": "Change the plan",
            "description": "At once, whether the use fits or not: what is too much stays, no more of it is granted.",
            "form_class": PlanForm,
            "form_submit_text": "Change",
        },
    )
    def change_plan(self, request: HttpRequest, form: PlanForm, object_id: str) -> HttpResponse:
        plan = form.cleaned_data["plan"]

        def work(subscription: Subscription) -> str:
            services.set_plan(organization=subscription.organization, plan=plan.pk)
            return f"{subscription.organization} has the plan {plan}."

        return self.act(request, object_id, work)

    @action(
        description="Extend or end",
        icon="event",
        permissions=["act"],
        dialog={
            "title": "Let the subscription end on another day",
            "description": "A day in the past suspends the organization now; a later one resumes it if it had expired.",
            "form_class": EndForm,
            "form_submit_text": "Set",
        },
    )
    def change_end(self, request: HttpRequest, form: EndForm, object_id: str) -> HttpResponse:
        last: date | None = form.cleaned_data["last_day"]
        until = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1) if last else None

        def work(subscription: Subscription) -> str:
            services.extend(organization=subscription.organization, until=until)
            return f"The subscription ends with {last}." if last else "The subscription never ends."

        return self.act(request, object_id, work)

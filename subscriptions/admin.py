from django.contrib import admin

from config.admin import ModelAdmin
from subscriptions.models import Plan, Subscription


@admin.register(Plan)
class PlanAdmin(ModelAdmin):
    list_display = ["name", "code", "instances", "messages_per_month"]
    search_fields = ["name", "code"]


@admin.register(Subscription)
class SubscriptionAdmin(ModelAdmin):
    list_display = ["organization", "plan", "started_at"]
    list_filter = ["plan"]
    search_fields = ["organization__name"]
    autocomplete_fields = ["organization"]
    list_select_related = ["organization", "plan"]

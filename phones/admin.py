from __future__ import annotations

from django.contrib import admin

from config.admin import ReadOnlyAdmin, linked
from phones.models import VirtualPhone


@admin.register(VirtualPhone)
class VirtualPhoneAdmin(ReadOnlyAdmin):
    """Their owners make them; the sandbox network has to know each."""

    list_display = ["phone", "name", linked("organization"), "created_at"]
    search_fields = ["phone", "name", "organization__name"]
    search_help_text = "A phone number, a name, an organization's name, or an id: phn_…, org_…"
    id_fields = {"org": "organization"}
    list_select_related = ["organization"]
    ordering = ["-id"]
    fields = ["id", "phone", "name", "organization", "created_at"]

from __future__ import annotations

from django.contrib import admin

from config.admin import LogAdmin, linked
from media.models import Media


@admin.register(Media)
class MediaAdmin(LogAdmin):
    """Files without their contents and names: operators see that there is one, and what became of it."""

    list_display = [
        "created_at", linked("organization"), linked("instance"), "source", "status", "mime_type", "size", "error_code",
    ]  # fmt: skip
    list_filter = ["status", "source", "network"]
    search_fields = ["=sha256"]
    search_help_text = "A SHA-256, or an id: med_…, ins_…, org_…"
    id_fields = {"ins": "instance", "org": "organization"}
    list_select_related = ["instance", "organization"]
    fieldsets = [
        ("File", {"fields": ["id", "organization", "network", "instance", "source", "status"]}),
        ("Content", {"fields": ["mime_type", "size", "sha256"]}),
        ("Work", {"fields": ["attempts", "due_at", "error_code", "error_detail"]}),
        ("Times", {"fields": ["created_at", "last_used_at", "expires_at"]}),
    ]

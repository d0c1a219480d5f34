from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.decorators import display

from audit.models import Entry
from audit.services import record
from config.admin import LogAdmin, Rows, further_rows, operator_wrote


@admin.register(Entry)
class EntryAdmin(LogAdmin):
    """Who did what; the database keeps it append-only."""

    list_display = ["at", "tag", "actor", "subject", "organization_id", "address"]
    search_fields = ["=actor_name", "=subject", "=request_id", "=tag", "=address"]
    search_help_text = "A whole e-mail address, tag, subject, request id or IP address, or an id: aud_…, org_…"
    id_fields = {"org": "organization_id"}
    fieldsets = [
        ("What", {"fields": ["id", "tag", "subject", "organization_id", "changes", "at"]}),
        ("Who", {"fields": ["actor_kind", "actor_id", "actor_name", "address", "request_id"]}),
        ("Chain", {"fields": ["sequence", "previous", "hash"]}),
    ]

    @display(description="who")
    def actor(self, entry: Entry) -> str:
        return entry.actor_name or entry.actor_id or entry.actor_kind


def record_form(request: HttpRequest, obj: Model, verb: str, fields: list[str]) -> None:
    """What an operator wrote with a form: which fields, and never their values."""
    name, changes = obj._meta.model_name, {"fields": fields} if fields else None
    record(f"{name}:{verb}", organization_id=None, subject=str(obj.pk), changes=changes)


def entries_about(obj: Model) -> list[Rows]:
    """The acts in an organization, or upon something of an organization."""
    if obj._meta.label == "accounts.Organization":
        return [Rows(Entry, {"organization_id": obj.pk}, "Audit entries")]
    organization_id = getattr(obj, "organization_id", None)
    if organization_id is None:
        return []
    return [Rows(Entry, {"organization_id": organization_id, "subject": obj.pk}, "Audit entries")]


operator_wrote.append(record_form)
further_rows.append(entries_about)

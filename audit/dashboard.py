"""What operators see at a glance: the last acts."""

from __future__ import annotations

from django.urls import reverse

from audit.models import Entry
from config.dashboard import Panel, Table, age, link, panel

_ROWS = 8


@panel(place=155, permission="audit.view_entry", columns=2)
def recent_acts() -> Panel:
    rows = [
        (
            link(entry.tag, reverse("admin:audit_entry_change", args=(entry.pk,))),
            entry.actor_name or entry.actor_kind,
            f"{age(entry.at)} ago",
        )
        for entry in Entry.objects.order_by("-id")[:_ROWS]
    ]
    url = reverse("admin:audit_entry_changelist")
    return Panel("Recent acts", Table(("What", "Who", "When"), rows, "Nothing was done yet."), url=url)

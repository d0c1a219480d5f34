"""UNFOLD: how the operators' admin looks, what its menu lists and what its search finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from unfold.dataclasses import SearchResult


def _item(title: str, icon: str, model: str) -> dict[str, Any]:
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may_view(app, name),
    }


def _may_view(app: str, name: str) -> Callable[[HttpRequest], bool]:
    return lambda request: bool(request.user.has_perm(f"{app}.view_{name}"))


def environment(request: HttpRequest) -> list[str]:
    """The label beside the operator's name, so that nobody takes one installation for the other."""
    return ["Production", "danger"] if settings.PRODUCTION else ["Development", "info"]


def find(request: HttpRequest, term: str) -> list[SearchResult]:
    """The object with this id, whatever it is, for the menu's search (Ctrl-K)."""
    from django.contrib import admin

    from config.admin import page_of
    from config.ids import InvalidId, TypeIDField, to_uuid

    for model, page in admin.site._registry.items():
        key = model._meta.pk
        if isinstance(key, TypeIDField) and term.startswith(f"{key.prefix}_") and page.has_view_permission(request):
            try:
                to_uuid(term, key.prefix)
            except InvalidId:
                return []
            found = model._default_manager.filter(pk=term).first()
            if found is None:
                return []
            name = str(model._meta.verbose_name).capitalize()
            return [SearchResult(title=str(found), description=name, link=page_of(found), icon="tag")]
    return []


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "WhatsApp API",
    "SITE_HEADER": "WhatsApp API",
    "SITE_SUBHEADER": "Operators",
    "SITE_SYMBOL": "forum",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("config/favicon.svg")}],
    "STYLES": [lambda request: static("config/admin.css")],
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "ENVIRONMENT": "config.admin_site.environment",
    "DASHBOARD_CALLBACK": "config.dashboard.callback",
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(97.9% .021 166.113)",
            "100": "oklch(95% .052 163.051)",
            "200": "oklch(90.5% .093 164.15)",
            "300": "oklch(84.5% .143 164.978)",
            "400": "oklch(76.5% .177 163.223)",
            "500": "oklch(59.6% .145 163.225)",
            "600": "oklch(50.8% .118 165.612)",
            "700": "oklch(43.2% .095 166.913)",
            "800": "oklch(37.8% .077 168.94)",
            "900": "oklch(32% .065 170)",
            "950": "oklch(26.2% .051 172.552)",
        }
    },
    "COMMAND": {
        "search_models": ["accounts.organization", "accounts.user", "instances.instance"],
        "search_callback": "config.admin_site.find",
    },
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "navigation": [
            {
                "items": [{"title": "Dashboard", "icon": "monitoring", "link": reverse_lazy("admin:index")}],
            },
            {
                "title": "Tenants",
                "separator": True,
                "items": [
                    _item("Organizations", "domain", "accounts.organization"),
                    _item("Users", "group", "accounts.user"),
                    _item("Invitations", "mail", "accounts.invitation"),
                    _item("API keys", "key", "accounts.apikey"),
                    _item("Subscriptions", "receipt_long", "subscriptions.subscription"),
                    _item("Plans", "sell", "subscriptions.plan"),
                ],
            },
            {
                "title": "WhatsApp",
                "separator": True,
                "items": [
                    _item("Instances", "smartphone", "instances.instance"),
                    _item("Messages", "chat", "messaging.message"),
                    _item("Files", "attach_file", "media.media"),
                    _item("Session workers", "memory", "instances.worker"),
                    _item("Virtual phones", "science", "phones.virtualphone"),
                ],
            },
            {
                "title": "Webhooks",
                "separator": True,
                "items": [
                    _item("Endpoints", "webhook", "webhooks.endpoint"),
                    _item("Deliveries", "local_shipping", "webhooks.delivery"),
                    _item("Events", "event_note", "webhooks.event"),
                ],
            },
            {
                "title": "Security",
                "separator": True,
                "items": [
                    _item("Audit log", "policy", "audit.entry"),
                    _item("Sessions", "login", "accounts.session"),
                    _item("E-mails", "outgoing_mail", "accounts.mail"),
                    _item("Groups", "shield_person", "auth.group"),
                ],
            },
        ],
    },
}

"""What all admin pages of operators share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.module_loading import autodiscover_modules
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.dataclasses import UnfoldAction
from unfold.paginator import InfinitePaginator

from config import dashboard
from config.api.problems import Problem
from config.ids import InvalidId, TypeIDField, to_uuid

admin.site.index_template = "config/dashboard.html"
autodiscover_modules("dashboard")


class Rows(NamedTuple):
    """A part of a model's list."""

    model: type[models.Model]
    lookups: Mapping[str, Any]
    title: str = ""  # that of the model if empty

    @property
    def address(self) -> str:
        options = self.model._meta
        return f"{reverse(f'admin:{options.app_label}_{options.model_name}_changelist')}?{urlencode(self.lookups)}"


# Asked with an object for lists that belong to it and that no foreign key leads to.
further_rows: list[Callable[[models.Model], list[Rows]]] = []

# Called with what an operator wrote through a form: (request, object, ``created`` or ``changed`` or ``deleted``,
# names of the fields). The audit registers here.
operator_wrote: list[Callable[[HttpRequest, models.Model, str, list[str]], None]] = []


class ModelAdmin(UnfoldModelAdmin):
    """A page whose search box takes ids as well, that links to all rows that belong to its object.

    ``id_fields`` says which column an id is looked up in: ``{"org": "organization"}``. The primary key's prefix
    needs no entry.

    Actions (``actions_detail``) run through ``act`` and need the permission ``act``: the right to change the
    model, also where the columns themselves are read-only. One is offered while ``offers`` says so.
    """

    list_per_page = 50
    list_fullwidth = True
    empty_value_display = "-"
    change_form_outer_before_template = "config/related.html"
    id_fields: ClassVar[dict[str, str]] = {}
    recorded_by_service = False  # True where saving goes through a service, which records it

    # --- search ---------------------------------------------------------------------------------

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        """An id finds its row or nothing, any other text is searched as usual."""
        term = search_term.strip()
        prefix = term.partition("_")[0]
        fields = dict(self.id_fields)
        if isinstance(key := self.model._meta.pk, TypeIDField):
            fields[key.prefix] = "pk"
        if prefix not in fields:
            found: tuple[models.QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)
            return found
        try:
            to_uuid(term, prefix)
        except InvalidId:
            return queryset.none(), False
        return queryset.filter(**{fields[prefix]: term}), False

    # --- links ----------------------------------------------------------------------------------

    def related(self, obj: Any) -> list[Rows]:
        """The lists that belong to this object: by default all rows with a foreign key to it."""
        return [
            Rows(relation.related_model, {f"{relation.field.name}__{relation.field.target_field.name}": obj.pk})
            for relation in obj._meta.get_fields(include_hidden=True)
            if isinstance(relation, models.ManyToOneRel)
        ]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        obj = self.get_object(request, unquote(object_id)) if object_id else None
        links = self._links(request, obj) if obj else []
        return super().changeform_view(request, object_id, form_url, (extra_context or {}) | {"related": links})

    def _links(self, request: HttpRequest, obj: Any) -> list[dict[str, str]]:
        links = []
        for rows in [*self.related(obj), *(found for ask in further_rows for found in ask(obj))]:
            page = self.admin_site._registry.get(rows.model)
            if page and page.has_view_permission(request):
                count = dashboard.capped(rows.model._default_manager.filter(**rows.lookups))
                title = rows.title or capfirst(str(rows.model._meta.verbose_name_plural))
                links.append({"title": title, "count": dashboard.number(count, dashboard.CAP), "url": rows.address})
        return sorted(links, key=lambda link: link["title"])

    # --- forms ----------------------------------------------------------------------------------

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._tell(request, obj, "created", [])
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        changed = [part["changed"] for part in message if "changed" in part] if isinstance(message, list) else []
        self._tell(request, obj, "changed", [name for part in changed for name in part.get("fields", [])])
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self._tell(request, obj, "deleted", [])
        return super().log_deletions(request, queryset)

    def _tell(self, request: HttpRequest, obj: Any, verb: str, fields: list[str]) -> None:
        if not self.recorded_by_service:
            for handler in operator_wrote:
                handler(request, obj, verb, fields)

    # --- actions --------------------------------------------------------------------------------

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"))

    def offers(self, action: str, obj: Any) -> bool:
        """Whether the action makes sense for the object as it is now."""
        return True

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        obj = self.get_object(request, unquote(str(object_id)))
        prefix = f"{self.opts.app_label}_{self.opts.model_name}_"
        return [
            action
            for action in super().get_actions_detail(request, object_id)
            if obj is not None and self.offers(action.action_name.removeprefix(prefix), obj)
        ]

    def act(self, request: HttpRequest, object_id: str, work: Callable[[Any], str]) -> HttpResponse:
        """Do the work of an action on the object; it returns the sentence the operator reads, or raises Problem."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404
        try:
            messages.success(request, work(obj))
        except Problem as problem:
            messages.error(request, problem.detail)
        return HttpResponse(headers={"HX-Redirect": page_of(obj)})


class ReadOnlyAdmin(ModelAdmin):
    """A page of rows that only the product writes; operators look, and act through services."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LogAdmin(ReadOnlyAdmin):
    """A page of a table that grows without end: newest first, nothing is counted or sorted."""

    paginator = InfinitePaginator
    show_full_result_count = False
    ordering = ["-id"]
    sortable_by: ClassVar[tuple[str, ...]] = ()


def page_of(obj: models.Model) -> str:
    """The address of an object's page."""
    return reverse(f"admin:{obj._meta.app_label}_{obj._meta.model_name}_change", args=(quote(obj.pk),))


def linked(field: str, title: str = "") -> Callable[[Any], SafeString | None]:
    """A column of a list that links to the object behind a foreign key, which has to be selected with the row."""

    @admin.display(description=title or field.replace("_", " "), ordering=field)
    def show(row: Any) -> SafeString | None:
        obj = getattr(row, field)
        return format_html('<a class="text-link" href="{}">{}</a>', page_of(obj), obj) if obj else None

    return show

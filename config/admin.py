"""What all admin pages of operators share."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.http import HttpRequest
from unfold.admin import ModelAdmin as UnfoldModelAdmin

from config.ids import InvalidId, TypeIDField, to_uuid


class ModelAdmin(UnfoldModelAdmin):
    """A page whose search box takes ids as well."""

    show_full_result_count = False

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        key = self.model._meta.pk
        if isinstance(key, TypeIDField):
            try:
                to_uuid(search_term.strip(), key.prefix)
            except InvalidId:
                pass
            else:
                return queryset.filter(pk=search_term.strip()), False
        return super().get_search_results(request, queryset, search_term)


class ReadOnlyAdmin(ModelAdmin):
    """A page that operators look at and nobody edits."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

"""Lists by cursor: newest first, at most 100 a page, opaque cursors."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from config.api.problems import Problem


class Pages(CursorPagination):
    """``?limit=`` (1 to 100, 50 by default) and ``?cursor=``; answers ``{next, previous, results}`` with URLs."""

    ordering = "-id"
    page_size = 50
    max_page_size = 100
    page_size_query_param = "limit"

    def paginate_queryset(self, queryset: QuerySet[Any], request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValidationError) as error:
            raise Problem("invalid_cursor", "Take the cursor from a page's next or previous link.") from error

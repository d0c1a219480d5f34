"""Lists by cursor: newest first, at most 100 a page, opaque cursors."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from config.api.problems import Problem, invalid

_LIMIT = re.compile("[1-9][0-9]?|100")


class Pages(CursorPagination):
    """``?limit=`` (1 to 100, 50 by default) and ``?cursor=``; answers ``{next, previous, results}`` with URLs."""

    ordering: str | tuple[str, ...] = "-id"
    page_size = 50
    page_size_query_param = "limit"

    def get_page_size(self, request: Request) -> int:
        """Raises Problem ``invalid_request`` for a limit out of bounds."""
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        if not _LIMIT.fullmatch(text):
            raise invalid("/limit", "invalid", "A limit is a whole number from 1 to 100.")
        return int(text)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValidationError) as error:
            raise Problem("invalid_cursor", "Take the cursor from a page's next or previous link.") from error

from __future__ import annotations

from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from audit import selectors
from audit.api.renderers import EntriesCsvRenderer, rows
from audit.api.serializers import AuditQuery
from config.api.browsable import BrowsableAPIRenderer
from config.api.caller import caller_of
from config.api.pagination import Pages
from config.api.renderers import JSONRenderer
from config.api.serializers import checked_query
from config.api.views import APIView


class _NewestFirst(Pages):
    ordering = "-sequence"


class AuditView(APIView):
    """Who did what, when and from where: pages of JSON, or all that matches as CSV."""

    scopes = {"GET": "audit"}
    renderer_classes = (JSONRenderer, BrowsableAPIRenderer, EntriesCsvRenderer)

    def get(self, request: Request) -> HttpResponseBase:
        caller = caller_of(request)
        if caller is None:
            raise NotAuthenticated
        found = selectors.entries(caller.organization_id, **checked_query(AuditQuery, request))
        pages = _NewestFirst()
        if request.accepted_renderer.format == "csv":
            pages.get_page_size(request)  # without effect here, but not to be nonsense either
            lines = rows(selectors.newest_first(found))
            name = {"Content-Disposition": 'attachment; filename="audit.csv"'}
            return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=name)
        page = pages.paginate_queryset(found, request, self) or []
        return pages.get_paginated_response([selectors.entry_data(entry) for entry in page])

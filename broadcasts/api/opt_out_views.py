from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from broadcasts import access, opt_outs
from broadcasts.api.serializers import KeywordsInput, OptOutInput, OptOutsQuery
from broadcasts.keywords import shown_words
from broadcasts.opt_outs import opt_out_data
from config.api.pagination import Pages
from config.api.serializers import checked, checked_query
from config.api.views import APIView


class OptOutsView(APIView):
    scopes = {"GET": "read", "POST": "send"}

    def get(self, request: Request) -> Response:
        pages, found = Pages(), access.opt_outs(actor_of(request))
        if contact := checked_query(OptOutsQuery, request).get("contact"):
            found = found.filter(opt_outs.any_of([str(contact)]))
        rows = pages.paginate_queryset(found, request, self) or []
        return pages.get_paginated_response([opt_out_data(row) for row in rows])

    def post(self, request: Request) -> Response:
        row = opt_outs.add(actor=actor_of(request), **checked(OptOutInput, request))
        return Response(opt_out_data(row), status=201)


class OptOutView(APIView):
    scopes = {"DELETE": "send"}

    def delete(self, request: Request, opt_out_id: str) -> Response:
        opt_outs.remove(opt_out=access.opt_out(actor_of(request), opt_out_id))
        return Response(status=204)


class KeywordsView(APIView):
    scopes = {"GET": "read", "PATCH": "manage"}

    def get(self, request: Request) -> Response:
        return Response(shown_words(actor_of(request).organization_id))

    def patch(self, request: Request) -> Response:
        opt_outs.change_keywords(actor=actor_of(request), **checked(KeywordsInput, request))
        return Response(shown_words(actor_of(request).organization_id))

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.pagination import Pages
from config.api.views import APIView
from instances import access as instance_access
from messaging import access
from messaging.calls import services
from messaging.calls.selectors import call_data


class CallsView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request, instance_id: str) -> Response:
        instance, pages = instance_access.instance(actor_of(request), instance_id), Pages()
        rows = pages.paginate_queryset(instance.calls.all(), request, self) or []
        return pages.get_paginated_response([call_data(row) for row in rows])


class RejectCallView(APIView):
    scopes = {"POST": "send"}
    idempotency = "afterwards"

    def post(self, request: Request, instance_id: str, call_id: str) -> Response:
        instance = instance_access.instance(actor_of(request), instance_id)
        return Response(call_data(services.reject(call=access.call(instance, call_id))))

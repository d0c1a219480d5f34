from __future__ import annotations

from datetime import timedelta

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.pagination import Pages
from config.api.serializers import checked, checked_query
from config.api.views import APIView
from webhooks import access, finding, rotation, sending, services, tickets
from webhooks.api.serializers import (
    EndpointChange,
    EndpointInput,
    EndpointsQuery,
    RotateSecretInput,
    TestInput,
    delivery_data,
    endpoint_data,
    endpoints_data,
    ticket_data,
)


class EndpointsView(APIView):
    scopes = {"GET": "webhooks", "POST": "webhooks"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        found = finding.endpoints(actor_of(request), **checked_query(EndpointsQuery, request))
        rows = pages.paginate_queryset(found, request, self) or []
        return pages.get_paginated_response(endpoints_data(rows))

    def post(self, request: Request) -> Response:
        endpoint = services.create_endpoint(actor=actor_of(request), **checked(EndpointInput, request))
        return Response(endpoint_data(endpoint) | {"secret": endpoint.secret}, status=201)


class EndpointView(APIView):
    scopes = {"GET": "webhooks", "PATCH": "webhooks", "DELETE": "webhooks"}

    def get(self, request: Request, endpoint_id: str) -> Response:
        return Response(endpoint_data(access.endpoint(actor_of(request), endpoint_id)))

    def patch(self, request: Request, endpoint_id: str) -> Response:
        endpoint = access.endpoint(actor_of(request), endpoint_id)
        changes = checked(EndpointChange, request)
        if "instances" in changes:
            changes["instances"] = access.audible(actor_of(request), changes["instances"])
        return Response(endpoint_data(services.change_endpoint(endpoint=endpoint, **changes)))

    def delete(self, request: Request, endpoint_id: str) -> Response:
        services.delete_endpoint(endpoint=access.endpoint(actor_of(request), endpoint_id))
        return Response(status=204)


class RotateSecretView(APIView):
    scopes = {"POST": "webhooks"}

    def post(self, request: Request, endpoint_id: str) -> Response:
        endpoint = access.endpoint(actor_of(request), endpoint_id)
        given = checked(RotateSecretInput, request)
        overlap = timedelta(seconds=given["overlap_seconds"])
        endpoint = rotation.rotate_secret(endpoint=endpoint, overlap=overlap, secret=given.get("secret"))
        return Response(endpoint_data(endpoint) | {"secret": endpoint.secret})


class TestView(APIView):
    scopes = {"POST": "webhooks"}

    def post(self, request: Request, endpoint_id: str) -> Response:
        endpoint = access.endpoint(actor_of(request), endpoint_id)
        delivery = sending.send_test(endpoint=endpoint, **checked(TestInput, request))
        return Response(delivery_data(delivery), status=202)


class TicketView(APIView):
    scopes = {"POST": "read"}

    def post(self, request: Request) -> Response:
        return Response(ticket_data(tickets.issue(actor_of(request))), status=201)

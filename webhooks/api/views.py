from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.pagination import Pages
from config.api.serializers import checked
from config.api.views import APIView
from webhooks import access, services, tickets
from webhooks.api.serializers import EndpointChange, EndpointInput, delivery_data, endpoint_data, ticket_data


class EndpointsView(APIView):
    scopes = {"GET": "webhooks", "POST": "webhooks"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(access.endpoints(actor_of(request)), request, self) or []
        return pages.get_paginated_response([endpoint_data(row) for row in rows])

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


class DeliveriesView(APIView):
    scopes = {"GET": "webhooks"}

    def get(self, request: Request, endpoint_id: str) -> Response:
        pages = Pages()
        found = access.deliveries(actor_of(request), endpoint_id)
        rows = pages.paginate_queryset(found, request, self) or []
        return pages.get_paginated_response([delivery_data(row) for row in rows])


class TicketView(APIView):
    scopes = {"POST": "read"}

    def post(self, request: Request) -> Response:
        return Response(ticket_data(tickets.issue(actor_of(request))), status=201)

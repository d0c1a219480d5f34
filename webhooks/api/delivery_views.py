from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.pagination import Pages
from config.api.serializers import checked, checked_query
from config.api.views import APIView
from webhooks import access, finding, replays, sending
from webhooks.api.serializers import DeliveriesQuery, RecoverInput, ReplayInput, delivery_data, replay_data
from webhooks.models import Replay


class DeliveriesView(APIView):
    scopes = {"GET": "webhooks"}

    def get(self, request: Request, endpoint_id: str) -> Response:
        pages = Pages()
        found = finding.deliveries(actor_of(request), endpoint_id, **checked_query(DeliveriesQuery, request))
        rows = pages.paginate_queryset(found, request, self) or []
        return pages.get_paginated_response([delivery_data(row) for row in rows])


class DeliveryView(APIView):
    scopes = {"GET": "webhooks"}

    def get(self, request: Request, endpoint_id: str, delivery_id: str) -> Response:
        return Response(delivery_data(access.delivery(actor_of(request), delivery_id, endpoint_id)))


class ResendView(APIView):
    scopes = {"POST": "webhooks"}

    def post(self, request: Request, delivery_id: str, endpoint_id: str | None = None) -> Response:
        delivery = access.delivery(actor_of(request), delivery_id, endpoint_id)
        sending.resend(delivery=delivery)
        return Response(delivery_data(delivery), status=202)


class ResendByIdView(ResendView):
    """The id of a delivery says enough."""


class RecoverView(APIView):
    scopes = {"POST": "webhooks"}

    def post(self, request: Request, endpoint_id: str) -> Response:
        actor = actor_of(request)
        endpoint, given = access.endpoint(actor, endpoint_id), checked(RecoverInput, request)
        replay = replays.start(actor=actor, endpoint=endpoint, kind=Replay.Kind.RECOVER, **given)
        return Response(replay_data(replay), status=202)


class ReplayEventsView(APIView):
    scopes = {"POST": "webhooks"}

    def post(self, request: Request, endpoint_id: str) -> Response:
        actor = actor_of(request)
        endpoint, given = access.endpoint(actor, endpoint_id), checked(ReplayInput, request)
        replay = replays.start(actor=actor, endpoint=endpoint, kind=Replay.Kind.REPLAY, **given)
        return Response(replay_data(replay), status=202)


class ReplaysView(APIView):
    scopes = {"GET": "webhooks"}

    def get(self, request: Request, endpoint_id: str) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(access.replays(actor_of(request), endpoint_id), request, self) or []
        return pages.get_paginated_response([replay_data(row) for row in rows])


class ReplayView(APIView):
    scopes = {"GET": "webhooks", "DELETE": "webhooks"}

    def get(self, request: Request, endpoint_id: str, replay_id: str) -> Response:
        return Response(replay_data(access.replay(actor_of(request), endpoint_id, replay_id)))

    def delete(self, request: Request, endpoint_id: str, replay_id: str) -> Response:
        replays.cancel(replay=access.replay(actor_of(request), endpoint_id, replay_id))
        return Response(status=204)

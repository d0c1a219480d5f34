from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.serializers import checked_query
from config.api.views import APIView
from webhooks import cursors, handlers, selectors
from webhooks.api.events_serializers import EventsQuery, page_data
from webhooks.polling import poll_of


class EventsView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request) -> Response:
        actor, query, poll = actor_of(request), checked_query(EventsQuery, request), poll_of(request._request)
        filters = {"types": query.get("types"), "instances": query.get("instance")}
        handlers.check_instances(actor, filters["instances"] or ())
        start = cursors.decode(query["after"]) if poll.positions is None else poll.positions
        page = selectors.read(actor, start, limit=query["limit"], **filters)
        poll.note(request._request, actor, page, wait=query["wait"], **filters)
        return Response(page_data(page))

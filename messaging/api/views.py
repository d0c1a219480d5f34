from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.pagination import Pages
from config.api.serializers import checked, checked_query
from config.api.views import APIView
from instances import access as instance_access
from instances.selectors import answer
from messaging import access
from messaging.accepting import scheduling
from messaging.api import payload, sending
from messaging.api.serializers import MessageChange, MessageQuery, MessagesQuery
from messaging.finding import filters
from messaging.receiving import showing
from messaging.selectors import message_data
from messaging.sending import holds


class MessagesView(APIView):
    scopes = {"GET": "read", "POST": "send"}
    idempotency = "own"

    def get(self, request: Request) -> Response:
        pages = Pages()
        found = filters.messages(actor_of(request), **checked_query(MessagesQuery, request))
        rows = pages.paginate_queryset(found, request, self) or []
        return pages.get_paginated_response(showing.with_extras(rows))

    def post(self, request: Request) -> Response:
        return sending.accepted(request, [payload.parse(sending.json_body(request))], sending.answer_to_one)


class BatchView(APIView):
    """Up to 1,000 messages, each judged by itself: a refused one does not keep the others back."""

    scopes = {"POST": "send"}
    idempotency = "own"

    def post(self, request: Request) -> Response:
        return sending.accepted(request, payload.parse_batch(sending.json_body(request)), sending.answer_to_many)


class ResumeColdHoldView(APIView):
    scopes = {"POST": "manage"}

    def post(self, request: Request, instance_id: str) -> Response:
        instance = instance_access.instance(actor_of(request), instance_id)
        holds.resume(instance=instance)
        return Response(answer(instance), status=202)


class MessageView(APIView):
    scopes = {"GET": "read", "PATCH": "send", "DELETE": "send"}
    while_suspended = {"DELETE"}

    def get(self, request: Request, message_id: str) -> Response:
        query = checked_query(MessageQuery, request)
        message = access.message(actor_of(request), message_id)
        return Response(showing.in_full(message, raw=query["raw"] == "true"))

    def patch(self, request: Request, message_id: str) -> Response:
        message = access.message(actor_of(request), message_id)
        message = scheduling.reschedule(message=message, **checked(MessageChange, request))
        return Response(message_data(message, message.instance))

    def delete(self, request: Request, message_id: str) -> Response:
        message = scheduling.cancel(message=access.message(actor_of(request), message_id))
        return Response(message_data(message, message.instance))

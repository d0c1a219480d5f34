from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actor import Actor
from accounts.permissions import actor_of
from config.api.pagination import Pages
from config.api.problems import Problem, invalid
from config.api.views import APIView
from instances import access as instance_access
from instances.whatsapp.jids import InvalidJid, recipient
from messaging import access, services
from messaging.acceptance import Verdict
from messaging.api import payload
from messaging.models import Message
from messaging.selectors import in_chat, message_data


def json_body(request: Request) -> bytes:
    """The body, which is parsed elsewhere. Raises Problem ``unsupported_media_type``."""
    if (request.content_type or "").split(";")[0].strip() != "application/json":
        raise Problem("unsupported_media_type", "Send application/json.")
    return request._request.body


def result_data(verdict: Verdict) -> dict[str, Any]:
    """One entry of a batch's answer."""
    if isinstance(verdict, Problem):
        return {"status": verdict.status, "message": None, "error": verdict.body()}
    return {"status": 202, "message": verdict, "error": None}


def _filtered(actor: Actor, query: dict[str, str]) -> QuerySet[Message]:
    rows = access.messages(actor)
    if instance_id := query.get("instance"):
        rows = rows.filter(instance=instance_access.instance(actor, instance_id))
    if chat := query.get("chat"):
        try:
            rows = in_chat(rows, recipient(chat.replace(" ", "+", 1) if chat.startswith(" ") else chat))
        except InvalidJid as error:
            raise invalid("/chat", "invalid_recipient", "This is neither a phone number nor a JID.") from error
    return rows


class MessagesView(APIView):
    scopes = {"GET": "read", "POST": "send"}
    idempotency = "afterwards"  # messages are committed by another thread

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(_filtered(actor_of(request), request.query_params.dict()), request, self) or []
        return pages.get_paginated_response([message_data(row, row.instance) for row in rows])

    def post(self, request: Request) -> Response:
        outgoing = payload.parse(json_body(request))
        (verdict,) = services.accept(actor=actor_of(request), outgoing=[outgoing])
        if isinstance(verdict, Problem):
            raise verdict
        return Response(verdict, status=202)


class BatchView(APIView):
    """Up to 1,000 messages, each judged by itself: a refused one does not keep the others back."""

    scopes = {"POST": "send"}
    idempotency = "afterwards"

    def post(self, request: Request) -> Response:
        outgoing = payload.parse_batch(json_body(request))
        verdicts = services.accept(actor=actor_of(request), outgoing=outgoing)
        return Response({"results": [result_data(verdict) for verdict in verdicts]}, status=202)


class MessageView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request, message_id: str) -> Response:
        message = access.message(actor_of(request), message_id)
        return Response(message_data(message, message.instance))

from __future__ import annotations

from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.lines import LinesRenderer, lines
from config.api.pagination import Pages
from config.api.serializers import checked, checked_query
from config.api.views import APIView
from instances import access as instance_access
from instances import commands
from messaging import access
from messaging.chats import reading
from messaging.chats.api.serializers import ChatsQuery, TypingInput
from messaging.chats.selectors import exported, with_last_messages
from messaging.models import Message
from messaging.selectors import message_data


class ChatPages(Pages):
    """The one with the newest message first."""

    ordering = ("-last_at", "-id")


class ChatsView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request) -> Response:
        actor, pages = actor_of(request), ChatPages()
        instance = instance_access.instance(actor, checked_query(ChatsQuery, request)["instance"])
        rows = pages.paginate_queryset(access.chats(actor).filter(instance=instance), request, self) or []
        return pages.get_paginated_response(with_last_messages(rows))


class ChatView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request, chat_id: str) -> Response:
        return Response(with_last_messages([access.chat(actor_of(request), chat_id)])[0])


class ChatExportView(APIView):
    scopes = {"GET": "read"}
    renderer_classes = (LinesRenderer,)

    def get(self, request: Request, chat_id: str) -> StreamingHttpResponse:
        chat = access.chat(actor_of(request), chat_id)
        rows = Message.objects.filter(instance_id=chat.instance_id, chat=chat.jid)
        return lines(exported(rows))


class ReadChatView(APIView):
    scopes = {"POST": "send"}
    idempotency = "afterwards"

    def post(self, request: Request, chat_id: str) -> Response:
        reading.mark_chat(access.chat(actor_of(request), chat_id))
        return Response(with_last_messages([access.chat(actor_of(request), chat_id)])[0])


class ReadMessageView(APIView):
    scopes = {"POST": "send"}
    idempotency = "afterwards"

    def post(self, request: Request, message_id: str) -> Response:
        reading.mark_message(access.message(actor_of(request), message_id))
        message = access.message(actor_of(request), message_id)
        return Response(message_data(message, message.instance))


class TypingView(APIView):
    scopes = {"POST": "send"}
    idempotency = "afterwards"

    def post(self, request: Request, chat_id: str) -> Response:
        chat, shown = access.chat(actor_of(request), chat_id), checked(TypingInput, request)
        commands.call(chat.instance, "typing", {"jid": chat.jid, **shown})
        return Response(shown)

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from config.api.lines import LINES
from config.api.operations import Moment, Operation, Operations, Page, Phone, Shape, Tag, identifier
from instances.api.schema import InstanceId
from messaging.api.schema import Message
from messaging.chats.api import views
from messaging.chats.api.serializers import ChatsQuery, TypingInput
from messaging.models import Chat as ChatRow


class Chat(Shape):
    """A conversation: with a person, a group, a channel, or the status posts."""

    id: Annotated[str, identifier("cht")]
    instance: InstanceId
    kind: ChatRow.Kind
    jid: Annotated[str, Meta(examples=["15550100002@s.whatsapp.net"])]
    phone: Phone | None
    lid: str | None
    name: str | None
    unread: Annotated[int, Meta(description="Received messages that nobody has marked as read.", ge=0)]
    last_at: Moment
    last_message: Message | None


class ChatPage(Page[Chat]):
    pass


class ChatPresence(Shape):
    state: Literal["composing", "recording", "paused"]
    seconds: int | None


_OTHER_NETWORK = ("test_key_on_live", "live_key_on_sandbox")
_LIVE = ("engine_failed", "instance_offline", "no_answer")
TAG = Tag("Chats", "Conversations, and what is done with a whole one.")
OPERATIONS: Operations = {
    views.ChatsView.get: Operation(
        "List chats",
        "Of one instance, the one with the newest message first.",
        query=ChatsQuery,
        answers={200: ChatPage},
        paged=True,
        problems=_OTHER_NETWORK,
    ),
    views.ChatView.get: Operation("One chat", answers={200: Chat}),
    views.ChatExportView.get: Operation(
        "Export a chat",
        "All messages of a chat, the oldest first: a JSON object on each line, as in the list of messages.",
        answers={200: None},
        media={LINES: {"type": "string", "description": "A `Message` on each line."}},
    ),
    views.ReadChatView.post: Operation(
        "Mark a chat as read",
        "Idempotent. The senders see it, as far as the account's privacy settings let them.",
        answers={200: Chat},
        problems=_LIVE,
    ),
    views.ReadMessageView.post: Operation(
        "Mark messages as read",
        "The message and all that were received before it in its chat. Idempotent.",
        answers={200: Message},
        problems=["not_received", *_LIVE],
    ),
    views.TypingView.post: Operation(
        "Show that you are typing",
        "The chat shows `composing` or `recording` for up to 25 seconds, or until a message or `paused`.",
        body=TypingInput,
        answers={200: ChatPresence},
        problems=_LIVE,
        example={"state": "composing", "seconds": 10},
    ),
}

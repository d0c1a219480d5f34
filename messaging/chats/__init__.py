"""Conversations: what the ledger's rows add up to, and what is done with a whole chat."""

from messaging.chats.touching import merge, touched

__all__ = ["merge", "touched"]

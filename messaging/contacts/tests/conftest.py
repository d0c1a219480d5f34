from messaging.chats.tests.conftest import receive
from messaging.tests.conftest import make_message

__all__ = ["make_message", "receive"]

"""Info queries: what a client asks the server.

A handler gets (network, the asking device, iq) and returns the children of the result, or raises
IqError.  Handlers of `before_login` work for a client that is not linked yet and get its session.
"""

from __future__ import annotations

from .registry import IqError, answer

__all__ = ["IqError", "answer"]

from . import connection, groups, newsletters, profiles, users  # noqa: F401  (they register their handlers)

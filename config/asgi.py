"""WebSockets and the requests that wait for events, served by daphne; other HTTP is granian's, by config/wsgi.py."""

from __future__ import annotations

import contextlib
import json
import os
import resource
from typing import Any

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from config import checks, context, pulse  # noqa: E402
from config.api.problems import CONTENT_TYPE, Problem  # noqa: E402

context.set_process_source("socket")


async def not_found(scope: Any, receive: Any, send: Any) -> None:
    problem = Problem("not_found", "Only WebSockets and events are served here.")
    headers = [(b"content-type", CONTENT_TYPE.encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(problem.body()).encode()})


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Closed before it is accepted, a socket is answered with 403."""
    await send({"type": "websocket.close"})


application = ProtocolTypeRouter(
    {
        "http": import_string("webhooks.polling.LongPoll")(not_found),
        "websocket": URLRouter(
            [
                path("ws/events", import_string("webhooks.live.socket.events")),
                re_path("", refuse),  # type: ignore[arg-type]
            ]
        ),
    }
)
_, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
with contextlib.suppress(ValueError, OSError):
    resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _most))  # each socket takes a descriptor
checks.speak()
pulse.start("live")

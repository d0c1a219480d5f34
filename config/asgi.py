"""WebSockets only, served by daphne; HTTP is granian's, through config/wsgi.py."""

from __future__ import annotations

import os
from typing import Any

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from config import context, pulse  # noqa: E402

context.set_process_source("socket")


async def not_found(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"Not found.\n"})


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Closed before it is accepted, a socket is answered with 403."""
    await send({"type": "websocket.close"})


application = ProtocolTypeRouter(
    {
        "http": not_found,
        "websocket": URLRouter(
            [
                path("ws/events", import_string("webhooks.live.EventsConsumer").as_asgi()),
                re_path("", refuse),  # type: ignore[arg-type]
            ]
        ),
    }
)
pulse.start("live")

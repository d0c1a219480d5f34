"""``/livez``: this process answers. ``/health``: every part of the product, 200 only if all are well."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from config import pulse
from config.api.problems import Problem, problem_response

Check = Callable[[], dict[str, Any]]
checks: dict[str, Check] = {}  # apps add theirs at start-up


@lru_cache(maxsize=1)
def project_version() -> str:
    return (Path(settings.BASE_DIR) / "VERSION").read_text().strip()


def part(ok: bool, detail: str = "") -> dict[str, Any]:
    """What a check answers; ``detail`` is a sentence for a human."""
    return {"ok": ok} | ({"detail": detail} if detail else {})


def check_database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return part(False, f"The database does not answer: {type(error).__name__}.")
    return part(True)


def check_pulses() -> dict[str, dict[str, Any]]:
    """The broker and the processes whose sign of life is kept there."""
    names = {"tasks": "No task worker, or no beat to feed it.", "live": "No process serves /ws/."}
    try:
        alive = pulse.alive(*names)
    except redis.RedisError as error:
        lost = part(False, f"Redis does not answer: {type(error).__name__}.")
        return {"redis": lost} | {name: part(False, "Unknown without Redis.") for name in names}
    return {"redis": part(True)} | {n: part(ok, "" if ok else names[n]) for n, ok in alive.items()}


View = Callable[[HttpRequest], HttpResponse]


def only_read(view: View) -> View:
    """Refuses other methods than GET and HEAD, as the views of the REST framework do."""

    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return problem_response(Problem("method_not_allowed", headers={"Allow": "GET, HEAD"}))
        return view(request)

    return wrapped


@only_read
def health(request: HttpRequest) -> HttpResponse:
    parts = {"database": check_database()} | check_pulses()
    for name, check in checks.items():
        try:
            parts[name] = check()
        except DatabaseError as error:
            parts[name] = part(False, f"The database does not answer: {type(error).__name__}.")
    ok = all(state["ok"] for state in parts.values())
    body = {"status": "ok" if ok else "unhealthy", "version": project_version(), "parts": parts}
    response = JsonResponse(body, status=200 if ok else 503)
    response._has_been_logged = True  # type: ignore[attr-defined]  # whoever asks is told; the log need not be
    return response


@only_read
def livez(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@only_read
def version(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"name": "whatsapp-api", "version": project_version()})

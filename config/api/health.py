"""``/livez``: this process answers. ``/readyz``: it can do its work. ``/health``: every part of the product.

200 only if all is well, else 503 with the parts that are not. None of them waits long for what does not answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

from config import pulse
from config.api.problems import Problem, problem_response

PATIENCE_SECONDS = 2.0
Parts = dict[str, dict[str, Any]]
Check = Callable[[], dict[str, Any]]
checks: dict[str, Check] = {}  # apps add theirs at start-up


@lru_cache(maxsize=1)
def project_version() -> str:
    return (Path(settings.BASE_DIR) / "VERSION").read_text().strip()


def part(ok: bool, detail: str = "") -> dict[str, Any]:
    """What a check answers; ``detail`` is a sentence for a human."""
    return {"ok": ok} | ({"detail": detail} if detail else {})


class _Watched:
    """Runs a check in a thread, and gives up waiting after PATIENCE_SECONDS: a server may take any time not to answer.

    Whoever asks while it still runs waits for the same answer.
    """

    def __init__(self, check: Callable[[], Parts]) -> None:
        self._check, self._lock = check, threading.Lock()
        self._answer: Future[Parts] | None = None
        self._since = 0.0

    def parts(self, names: Sequence[str]) -> Parts:
        """What the check says, or that each of the named parts does not answer."""
        with self._lock:
            if self._answer is None or self._answer.done():
                self._answer, self._since = Future(), time.monotonic()
                threading.Thread(target=self._run, args=[self._answer], name="health", daemon=True).start()
            answer = self._answer
        try:
            return answer.result(max(0.0, self._since + PATIENCE_SECONDS - time.monotonic()))
        except TimeoutError:
            lost = part(False, f"The database does not answer within {PATIENCE_SECONDS:.0f} seconds.")
            return dict.fromkeys(names, lost)

    def _run(self, answer: Future[Parts]) -> None:
        try:
            answer.set_result(self._check())
        except BaseException as error:
            answer.set_exception(error)
        finally:
            connections.close_all()


def _database() -> Parts:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return {"database": part(True), "migrations": _migrations()}
    except DatabaseError as error:
        lost = part(False, f"The database does not answer: {type(error).__name__}.")
        return {"database": lost, "migrations": part(False, "Unknown without the database.")}


def _migrations() -> dict[str, Any]:
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            return part(False, f"{len(missing)} migrations are not applied: run manage.py migrate.")
        _migrated = True
    return part(True)


_migrated = False  # what is applied stays applied for as long as this code runs
_watched_database = _Watched(_database)


def check_database() -> Parts:
    """Whether the database answers, and has the tables this code expects; after PATIENCE_SECONDS at the latest."""
    return _watched_database.parts(("database", "migrations"))


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
    parts = check_database() | check_pulses()
    for name, check in checks.items():
        if not parts["database"]["ok"]:
            parts[name] = part(False, "Unknown without the database.")
            continue
        try:
            parts[name] = check()
        except DatabaseError as error:
            parts[name] = part(False, f"The database does not answer: {type(error).__name__}.")
    return _answer(parts)


@only_read
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether this process can do its work: what a load balancer asks before it sends requests here."""
    parts = check_database()
    try:
        pulse.alive("live")
        parts["broker"] = part(True)
    except redis.RedisError as error:
        parts["broker"] = part(False, f"Redis does not answer: {type(error).__name__}.")
    return _answer(parts)


def _answer(parts: Parts) -> HttpResponse:
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

"""``Idempotency-Key``: a POST that is sent again gets the first answer instead of a second effect.

1. The key is locked in a row that is committed before the view runs, so that nobody else runs it meanwhile.
2. The view runs in one transaction that also stores its answer: a crash leaves both or nothing. A view that waits for
   other systems, or for a slow hash, runs outside of a transaction and its answer is stored afterwards; if the process
   dies in between, the key is free again after LOCK and the view may run twice, unless it has called `keep`.

Only successes are kept, for KEPT; an error frees the key. A key belongs to one scope: the organization and mode of an
API key, a person in an organization, or an anonymous client's address. Within it the caller's rights are part of
what is compared, so that a key with fewer rights is refused instead of shown an answer.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import re
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import orjson
from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from config import metrics
from config.api.caller import caller_of
from config.api.exceptions import as_problem
from config.api.problems import Problem
from config.api.renderers import JSONRenderer
from config.models import IdempotencyKey

KEPT = timedelta(hours=24)
LOCK = timedelta(seconds=60)  # longer than any view takes
HEADER = "HTTP_IDEMPOTENCY_KEY"
REPLAYED = {"Idempotent-Replayed": "true"}

Kind = Literal["together", "afterwards", "own"]
"""How a view stores its answer: in its transaction, after it, or by itself in a transaction of its own."""

_ACCEPTABLE = re.compile(r"[ -~]{1,255}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')


class Claim(NamedTuple):
    """What identifies a request: two claims of one scope and key with different fingerprints are a mistake."""

    scope: str
    key: str
    fingerprint: str


class Answer(NamedTuple):
    status: int
    data: Any


def claim_of(request: Request) -> Claim | None:
    """The claim of a request with an ``Idempotency-Key``, else None. To be called after authentication.

    Raises Problem ``invalid_request`` for a key that is none.
    """
    text = request.META.get(HEADER)
    if text is None:
        return None
    if quoted := _QUOTED.fullmatch(text):  # as a string of RFC 9651
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    if not _ACCEPTABLE.fullmatch(text):
        raise Problem("invalid_request", "An Idempotency-Key has 1 to 255 printable ASCII characters.")
    metrics.IDEMPOTENCY.inc("asked")
    caller = caller_of(request)
    if caller is None:
        address = request._request.client_address  # type: ignore[attr-defined]  # of ClientAddressMiddleware
        return Claim(f"anonymous:{address}", text, _fingerprint(request, ""))
    who = caller.mode if caller.kind == "key" else caller.id
    limits = "any" if caller.instances is None else ",".join(sorted(caller.instances))
    rights = f"{','.join(sorted(caller.scopes))} {limits}"
    return Claim(f"{caller.organization_id}:{who}", text, _fingerprint(request, rights))


def _fingerprint(request: Request, rights: str) -> str:
    # Keyed: bodies hold passwords, which a plain hash would lay open to guessing.
    digest = hmac.new(settings.SECRET_KEY.encode(), digestmod="sha256")
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    digest.update(f"{request.method} {request.get_full_path()} {kind} {rights}\n".encode())
    if kind == "multipart/form-data":
        # Read through Django's upload handlers, which keep large files on disk, and hashed piece by piece.
        form = request._request
        digest.update(orjson.dumps(sorted(form.POST.lists())))
        for name, files in sorted(form.FILES.lists()):
            for file in files:
                digest.update(orjson.dumps([name, file.name, file.content_type, file.size]))
                for chunk in file.chunks():
                    digest.update(chunk)
                file.seek(0)
    else:
        digest.update(_canonical(request.body))
    return digest.hexdigest()


def _canonical(body: bytes) -> bytes:
    """The same bytes for the same JSON, however it is spelled; any other body as it is."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return body


def done(claim: Claim, answer: Answer) -> IdempotencyKey:
    """The row, not saved yet, of a request that has its answer; for views that store it by themselves."""
    return IdempotencyKey(**claim._asdict(), status=answer.status, body=_as_json(answer.data))


def answer_in(row: IdempotencyKey, claim: Claim) -> Answer:
    """The answer in a row of the claim's scope and key.

    Raises Problem ``idempotency_key_reused`` or ``idempotency_key_in_use``.
    """
    if not hmac.compare_digest(row.fingerprint, claim.fingerprint):
        metrics.IDEMPOTENCY.inc("mismatch")
        raise Problem("idempotency_key_reused", "The Idempotency-Key came with another request before; take a new one.")
    if row.locked_until is not None:
        raise _in_use()
    return Answer(row.status or 200, None if row.body is None else json.loads(row.body))


def keep(status: int, data: Any) -> None:
    """Store the answer that a view of kind ``afterwards`` is about to give, in its transaction that writes the effect.

    Without a key nothing happens. Raises Problem ``idempotency_key_in_use`` when somebody else runs by now.
    """
    held = _running.get()
    if held is not None and not held.row().update(locked_until=None, status=status, body=_as_json(data)):
        raise _in_use()


def is_expired(row: IdempotencyKey) -> bool:
    return row.created_at <= timezone.now() - KEPT


def replayed(answer: Answer) -> Response:
    metrics.IDEMPOTENCY.inc("replayed")
    return Response(answer.data, status=answer.status, headers=REPLAYED)


def once(claim: Claim, view: Callable[[], Response], kind: Kind) -> Response:
    """The answer of the view, run at most once for the claim. Raises what the view raises, and as `answer_in`."""
    held = _hold(claim)
    if isinstance(held, Answer):
        return replayed(held)
    try:
        return _run_together(held, view) if kind == "together" else _run_and_keep(held, view)
    except BaseException:
        with contextlib.suppress(DatabaseError):  # then it stays locked until its time is over
            _free(held)
        raise


def prune(most: int = 1000) -> int:
    """Delete expired keys, at most so many; the number deleted."""
    expired = IdempotencyKey.objects.filter(created_at__lte=timezone.now() - KEPT).order_by("created_at")
    return IdempotencyKey.objects.filter(pk__in=list(expired.values_list("pk", flat=True)[:most])).delete()[0]


class _Held(NamedTuple):
    """This process's hold on a row, until ``until``."""

    pk: int
    until: datetime

    def row(self) -> Any:
        return IdempotencyKey.objects.filter(pk=self.pk, locked_until=self.until)


_running: ContextVar[_Held | None] = ContextVar("idempotency_hold", default=None)


def _in_use() -> Problem:
    metrics.IDEMPOTENCY.inc("in_progress")
    return Problem(
        "idempotency_key_in_use",
        "The first request with this Idempotency-Key is still running.",
        headers={"Retry-After": "1"},
    )


def _hold(claim: Claim) -> _Held | Answer:
    while True:
        now = timezone.now()
        until = now + LOCK
        row, made = IdempotencyKey.objects.get_or_create(
            scope=claim.scope, key=claim.key, defaults={"fingerprint": claim.fingerprint, "locked_until": until}
        )
        if made:
            return _Held(row.pk, until)
        if is_expired(row):
            IdempotencyKey.objects.filter(pk=row.pk, created_at=row.created_at).delete()
            continue
        abandoned = row.locked_until is not None and row.locked_until <= now
        if abandoned and row.fingerprint == claim.fingerprint:
            taken = _Held(row.pk, row.locked_until).row().update(locked_until=until)  # type: ignore[arg-type]
            if taken:
                return _Held(row.pk, until)
            continue
        return answer_in(row, claim)


def _run_together(held: _Held, view: Callable[[], Response]) -> Response:
    refusal: Exception | None = None
    with transaction.atomic():
        try:
            response = view()
        except Exception as error:
            problem = as_problem(error)
            if problem is None or problem.status >= 500:
                raise
            # What a view writes before it refuses stays, as it does without a key.
            refusal = error
        else:
            if not _keep(held, response):  # it took longer than LOCK, and somebody else runs by now
                raise _in_use()
    if refusal:
        raise refusal
    return response


def _run_and_keep(held: _Held, view: Callable[[], Response]) -> Response:
    token = _running.set(held)
    try:
        response = view()
    finally:
        _running.reset(token)
    _keep(held, response)
    return response


def _keep(held: _Held, response: Response) -> bool:
    """Store a success; let go of the key for anything else. False if the hold was lost."""
    if not 200 <= response.status_code < 300:
        _free(held)
        return True
    kept = {"locked_until": None, "status": response.status_code, "body": _as_json(response.data)}
    return bool(held.row().update(**kept))


def _free(held: _Held) -> None:
    held.row().delete()


def _as_json(data: Any) -> str | None:
    return None if data is None else JSONRenderer().render(data).decode()

"""What the routes that send have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api import idempotency
from config.api.idempotency import Answer
from config.api.problems import Problem
from messaging import services
from messaging.accepting.orders import Outgoing, Verdict


def json_body(request: Request) -> bytes:
    """The body, which is parsed elsewhere. Raises Problem ``unsupported_media_type``."""
    if (request.content_type or "").split(";")[0].strip() != "application/json":
        raise Problem("unsupported_media_type", "Send application/json.")
    return request._request.body


def answer_to_one(verdicts: list[Verdict]) -> Answer:
    """The answer to a request with one message. Raises its Problem."""
    (verdict,) = verdicts
    if isinstance(verdict, Problem):
        raise verdict
    return Answer(202, verdict)


def answer_to_many(verdicts: list[Verdict]) -> Answer:
    """The answer to a batch: a result for each message."""
    return Answer(202, {"results": [_result(verdict) for verdict in verdicts]})


def _result(verdict: Verdict) -> dict[str, Any]:
    if isinstance(verdict, Problem):
        error = verdict.body()
        del error["request_id"]  # it would be that of the request whose thread commits
        return {"status": verdict.status, "message": None, "error": error}
    return {"status": 202, "message": verdict, "error": None}


def accepted(
    request: Request, outgoing: Sequence[Outgoing | Problem], answer_of: Callable[[list[Verdict]], Answer]
) -> Response:
    """Accept what a request sends. Raises Problem."""
    actor, claim = actor_of(request), idempotency.claim_of(request)
    order = services.accept(actor=actor, outgoing=outgoing, answer_of=answer_of, claim=claim)
    assert order.answer is not None
    headers = idempotency.REPLAYED if order.replayed else None
    return Response(order.answer.data, status=order.answer.status, headers=headers)

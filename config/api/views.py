"""The one base class of API views, so that none can forget the manners."""

from __future__ import annotations

from functools import partial
from typing import Any

from rest_framework import views
from rest_framework.request import Request
from rest_framework.response import Response

from config import context
from config.api import idempotency, limits
from config.api.caller import caller_of


class APIView(views.APIView):  # noqa: TID251 (this is what replaces it)
    """Adds rate limits, and idempotency keys to every POST.

    ``idempotency`` says how the answer is stored: ``together`` with what the view writes, in one transaction;
    ``afterwards`` for a view that waits for other systems or hashes passwords; ``own`` for one that does it itself.

    Every request is counted: by caller, or by address. ``rate_limits`` names policies beyond: ``auth`` by address for
    what guesses at passwords, ``email`` by the body's field of that name.
    """

    idempotency: idempotency.Kind = "together"
    rate_limits: tuple[str, ...] = ()

    def perform_authentication(self, request: Request) -> None:
        try:
            super().perform_authentication(request)
        except Exception:
            limits.check_stranger(request._request)
            raise
        caller = caller_of(request)
        if caller is not None:
            who = {"actor_kind": caller.kind, "actor_id": caller.id, "actor_name": getattr(caller, "name", "")}
            context.bind(**who, organization_id=caller.organization_id or None)
            limits.check_caller(request._request, caller)
        elif "auth" not in self.rate_limits:
            limits.check_stranger(request._request)
        if "auth" in self.rate_limits:
            limits.check_stranger(request._request, "auth")
        if "email" in self.rate_limits and isinstance(request.data, dict) and "email" in request.data:
            limits.check_email(request._request, str(request.data["email"]))

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        limits.add_headers(getattr(request, "_request", request), response)
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if idempotency.HEADER in request.META and request.method == "POST" and self.idempotency != "own":
            self._once(request)

    def _once(self, request: Request) -> None:
        view, claim = getattr(self, "post", None), idempotency.claim_of(request)
        if view is None or claim is None:
            return

        def post(*args: Any, **kwargs: Any) -> Response:
            return idempotency.once(claim, partial(view, *args, **kwargs), self.idempotency)

        self.post = post  # of this request's own view object; dispatch looks it up after `initial`

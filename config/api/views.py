"""The one base class of API views, so that none can forget the manners."""

from __future__ import annotations

from functools import partial
from typing import Any

from rest_framework import views
from rest_framework.request import Request
from rest_framework.response import Response

from config.api import idempotency, limits
from config.api.caller import caller_of
from config.api.operations import operation_of
from config.api.problems import FieldError, Problem, escaped


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
        response.headers.setdefault("Cache-Control", "no-store")  # keys, tokens and messages are in most of them
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.META.get("QUERY_STRING") and self.schema is not None:  # a page that is no operation has none
            self._refuse_unknown_parameters(request)
        if idempotency.HEADER in request.META and request.method == "POST" and self.idempotency != "own":
            self._once(request)

    def _once(self, request: Request) -> None:
        view, claim = getattr(self, "post", None), idempotency.claim_of(request)
        if view is None or claim is None:
            return

        def post(*args: Any, **kwargs: Any) -> Response:
            return idempotency.once(claim, partial(view, *args, **kwargs), self.idempotency)

        self.post = post  # of this request's own view object; dispatch looks it up after `initial`

    def _refuse_unknown_parameters(self, request: Request) -> None:
        method = "GET" if request.method == "HEAD" else str(request.method)
        operation = operation_of(type(self), method) if hasattr(self, method.lower()) else None
        if operation and (unknown := sorted(request.query_params.keys() - operation.parameters)):
            words = "This parameter is not known here."
            raise Problem("unknown_parameter", errors=[FieldError(f"/{escaped(n)}", "unknown", words) for n in unknown])
        if request.query_params.get("format") == "":  # the REST framework takes it for none
            raise Problem("not_found", "There is no such format.")

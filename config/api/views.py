"""The one base class of API views, so that none can forget the manners."""

from __future__ import annotations

from functools import partial
from typing import Any

from rest_framework import views
from rest_framework.request import Request
from rest_framework.response import Response

from config.api import idempotency


class APIView(views.APIView):  # noqa: TID251 (this is what replaces it)
    """Adds idempotency keys to every POST.

    ``idempotency`` says how the answer is stored: ``together`` with what the view writes, in one transaction;
    ``afterwards`` for a view that waits for other systems or hashes passwords; ``own`` for one that does it itself.
    """

    idempotency: idempotency.Kind = "together"

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

from __future__ import annotations

import hmac
import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST

from config import metrics
from config.api.health import only_read
from config.api.problems import Problem, problem_response


@only_read
def show(request: HttpRequest) -> HttpResponse:
    """``/metrics``: with METRICS_TOKEN for who sends it as a Bearer token, without one for loopback only."""
    if settings.METRICS_TOKEN:
        sent = request.META.get("HTTP_AUTHORIZATION", "")
        if not hmac.compare_digest(sent.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
            refusal = Problem("invalid_credentials", "Send METRICS_TOKEN.", headers={"WWW-Authenticate": "Bearer"})
            return problem_response(refusal)
    elif not _from_loopback(request):
        return problem_response(Problem("permission_denied", "Without METRICS_TOKEN this answers loopback only."))
    return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)


def _from_loopback(request: HttpRequest) -> bool:
    """True for a client on this machine that no front server of this machine may be speaking for."""
    address = request.client_address  # type: ignore[attr-defined]
    if not address or not ipaddress.ip_address(address).is_loopback:
        return False
    # Through a proxy that is not trusted everybody seems to come from here.
    return request.META.get("REMOTE_ADDR") != address or "HTTP_X_FORWARDED_FOR" not in request.META

"""The sandbox network's control socket."""

from __future__ import annotations

from functools import cache
from typing import Any

import httpx
from django.conf import settings

from config.api.health import part
from config.api.problems import Problem

_SECONDS = 10.0
# Refusals that mean the same here; others of the sandbox's codes may stand for something else in the catalogue.
_SHARED_CODES = {"phone_taken", "qr_expired", "no_pairing", "wrong_code", "not_on_whatsapp"}


@cache
def _client(path: str) -> httpx.Client:
    return httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://sandbox", timeout=_SECONDS)


def call(method: str, **arguments: Any) -> Any:
    """Call a method of the sandbox's control API and return its result.

    Raises Problem: ``sandbox_unavailable`` when nobody answers, ``not_found``, ``invalid_request``, or one of the
    codes that the sandbox shares with the API.
    """
    if not settings.SANDBOX_ENABLED:
        raise Problem("sandbox_unavailable", "This installation has no sandbox network.")
    try:
        response = _client(settings.SANDBOX_CONTROL).post(f"/control/{method}", json=arguments)
    except httpx.TransportError as error:
        raise Problem("sandbox_unavailable") from error
    if response.is_success:
        return response.json()["result"]
    refusal = response.json()["error"]
    if refusal["code"] in _SHARED_CODES:
        raise Problem(refusal["code"], refusal["detail"])
    if response.status_code == 404:
        raise Problem("not_found", refusal["detail"])
    if response.status_code < 500:
        raise Problem("invalid_request", refusal["detail"])
    raise Problem("sandbox_unavailable")


def check() -> dict[str, Any]:
    """For /health: does the sandbox network answer, where there is to be one?"""
    if not settings.SANDBOX_ENABLED:
        return part(True, "Switched off.")
    try:
        call("phones", realm="nobody")
    except Problem as problem:
        return part(False, problem.detail)
    return part(True)

"""The few layers around every request. Calls by programs skip all that only browsers need."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest, HttpResponse
from django.middleware import common, csrf
from whitenoise.middleware import WhiteNoiseMiddleware

from config import context
from config.api.problems import Problem, problem_response

MAX_FILE_BYTES = 100 * 1024 * 1024  # the largest file that is taken, as a document
_FORM_BYTES = 64 * 1024  # what multipart puts around it
_DATA_PATHS = ("/api/messages", "/api/media", "/api/broadcasts")
_LENGTH = re.compile("[0-9]{1,18}")
_PROBES = ("/health", "/livez", "/readyz", "/metrics")
_PROGRAM_PATHS = ("/api/", *_PROBES)


def _from_program(request: HttpRequest) -> bool:
    """True for an API call without a browser's session cookie."""
    return request.path_info.startswith(_PROGRAM_PATHS) and settings.SESSION_COOKIE_NAME not in request.COOKIES


class _BrowserOnly:
    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _from_program(request):
            return self.get_response(request)
        return cast(HttpResponse, super().__call__(request))  # type: ignore[misc]


class CommonMiddleware(common.CommonMiddleware):
    """Checks the host; whoever probes this process itself may call it by any name."""

    def process_request(self, request: HttpRequest) -> Any:
        return None if request.path_info in _PROBES else super().process_request(request)


class SecurityHeadersMiddleware:
    """What the packages allow a browser to do with an answer, beside the headers of Django's SecurityMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        if not response.get("Content-Type", "").startswith("text/html"):
            policy = settings.CONTENT_SECURITY_POLICY
        elif request.path_info.startswith("/admin/"):
            policy = settings.CONTENT_SECURITY_POLICY_ADMIN
        else:
            policy = settings.CONTENT_SECURITY_POLICY_PAGES
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class SessionMiddleware(_BrowserOnly, sessions.SessionMiddleware):
    pass


class CsrfViewMiddleware(_BrowserOnly, csrf.CsrfViewMiddleware):
    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        return None if _from_program(request) else super().process_view(request, *args)


class AuthenticationMiddleware(_BrowserOnly, auth.AuthenticationMiddleware):
    pass


class MessageMiddleware(_BrowserOnly, messages.MessageMiddleware):
    pass


class StaticFilesMiddleware(_BrowserOnly, WhiteNoiseMiddleware):
    pass


class OperatorMiddleware:
    """In the admin the person who is logged in is an operator, whatever organizations they may belong to."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if context.current().source == "admin" and (user := request.user).is_authenticated:
            context.bind(actor_kind="operator", actor_id=user.pk, actor_name=user.get_username())
        return self.get_response(request)


class ClientAddressMiddleware:
    """Sets ``request.client_address``, and the address of the current Origin.

    ``X-Forwarded-For`` is believed only from a peer on a Unix socket or inside TRUSTED_PROXIES; from its
    right end, the first address that is not itself a trusted proxy is the client.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        address = client_address(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))
        request.client_address = address  # type: ignore[attr-defined]
        context.bind(address=address)
        return self.get_response(request)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def client_address(peer: str, forwarded_for: str) -> str:
    """The client's address for a peer address (not an address: a Unix socket) and its X-Forwarded-For."""
    address = _parse(peer)
    if address is not None and not any(address in network for network in settings.TRUSTED_PROXIES):
        return str(address)
    for text in reversed(forwarded_for.split(",")):
        claimed = _parse(text)
        if claimed is None:
            break
        address = claimed
        if not any(claimed in network for network in settings.TRUSTED_PROXIES):
            break
    return str(address or "")


def body_limit(request: HttpRequest) -> int:
    """The most bytes that a request's body may have."""
    if request.path_info.startswith(_DATA_PATHS):
        if request.path_info == "/api/media" and request.content_type == "multipart/form-data":
            return MAX_FILE_BYTES + _FORM_BYTES
        return settings.MAX_DATA_BODY_BYTES
    return settings.MAX_BODY_BYTES


class BodyLimitMiddleware:
    """Refuses bodies over the limit of their path, and bodies of unknown length, before anything reads them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if "HTTP_TRANSFER_ENCODING" in request.META or not _LENGTH.fullmatch(length):
            return problem_response(Problem("length_required"))
        limit = body_limit(request)
        if int(length) > limit:
            return problem_response(Problem("body_too_large", f"The limit is {limit} bytes.", limit=limit))
        return self.get_response(request)

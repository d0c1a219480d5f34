"""The proxy an instance connects through: a tenant's address, so it may lead nowhere a webhook may not lead either."""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

from django.conf import settings

from config import egress
from config.api.problems import Problem

MAX_LENGTH = 500
PATTERN = r"^(socks5|http)://([^\s/?#@]+@)?[^\s/?#@:]+:[1-9][0-9]{0,4}$|^(socks5|http)://([^\s/?#@]+@)?\[[0-9a-fA-F:.]+\]:[1-9][0-9]{0,4}$"
_MASK = "***"


class ProxyUnusable(Exception):
    """The proxy cannot be dialled. The text is one sentence and names no credentials."""


def checked(text: str) -> str:
    """The URL of a proxy, which fits PATTERN, in one spelling. Raises Problem ``url_not_allowed``.

    A name is not looked up before a session worker dials it: what it means may change.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Problem("url_not_allowed", "The proxy's URL is not valid.") from error
    if not host or not port:
        raise Problem("url_not_allowed", "The proxy's URL needs a host and a port.")
    address = egress.literal(host)
    if address is not None and egress.is_refused(address, settings.PROXY_PRIVATE_NETWORKS):
        raise Problem("url_not_allowed", "The proxy's address is not a public one.")
    return _spelled(parts.scheme, parts.username, parts.password, host, port)


def masked(url: str | None) -> str | None:
    """As clients and operators see it."""
    if url is None:
        return None
    parts = urlsplit(url)
    password = _MASK if parts.password else None
    return _spelled(parts.scheme, parts.username, password, parts.hostname or "", parts.port or 0)


def pinned(url: str) -> str:
    """The URL with the checked address in place of the name, for the client library to dial. Asks the name servers.

    Raises ProxyUnusable, with the same words for an address we refuse and for a name that nobody knows.
    """
    parts = urlsplit(url)
    try:
        addresses = egress.checked_addresses(parts.hostname or "", parts.port or 0, settings.PROXY_PRIVATE_NETWORKS)
    except egress.EgressError as error:
        raise ProxyUnusable("The proxy could not be reached.") from error
    return _spelled(parts.scheme, parts.username, parts.password, addresses[0], parts.port or 0)


def scrubbed(text: str, url: str | None) -> str:
    """A text of the client library, without the credentials of the proxy."""
    if url is None:
        return text
    parts = urlsplit(url)
    for secret in filter(None, (parts.password, parts.username)):
        text = text.replace(secret, _MASK).replace(unquote(secret), _MASK)
    return text


def _spelled(scheme: str, username: str | None, password: str | None, host: str, port: int) -> str:
    user = "" if username is None else quote(unquote(username), safe="")
    word = "" if password is None else ":" + (password if password == _MASK else quote(unquote(password), safe=""))
    where = f"[{host}]" if ":" in host else host
    return f"{scheme}://{user}{word}{'@' if user or word else ''}{where}:{port}"

"""Which addresses may be dialled, for URLs, names, and the moment at which a connection is made."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings

from config import metrics
from config.egress.errors import InvalidUrl, Unreachable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[list[str]]]

MAX_URL_LENGTH = 2000
# Name servers are chosen by tenants too: one that hangs must find other threads free.
_RESOLVER_THREADS = 64

# What `is_global` of the standard library lets through although it is not the public internet, or leads
# out of it again: the translation and tunnel ranges carry an IPv4 address inside.
_DENIED: list[Network] = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "168.63.129.16/32",  # Azure's host agent
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo among others
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
]


def is_refused(address: Address, allowed: Iterable[Network] = ()) -> bool:
    """True if the address must not be dialled: not public, and in none of the allowed networks."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in allowed):
        return False
    return not address.is_global or any(address in network for network in _DENIED)


def literal(host: str) -> Address | None:
    """The address that a host spells out, the old spellings ``127.1`` and ``0x7f000001`` included."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host[:1].isdigit() else None
    except OSError:
        return None


def checked_url(text: str) -> httpx.URL:
    """The parsed form of an http or https URL without userinfo. Raises InvalidUrl."""
    if len(text) > MAX_URL_LENGTH:
        raise InvalidUrl(f"The URL may have at most {MAX_URL_LENGTH} characters.")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise InvalidUrl("This is not a valid URL.") from error
    if url.scheme not in ("http", "https"):
        raise InvalidUrl("The URL must begin with http:// or https://.")
    if not url.host or (url.port is not None and not 0 < url.port <= 65535):
        raise InvalidUrl("The URL needs a host, and a port from 1 to 65535 if any.")
    if url.userinfo:
        raise InvalidUrl("The URL must not contain a user name or password.")
    return url


def names_refused_address(url: httpx.URL) -> bool:
    """True if the host is written as an address that would be refused, so that nobody need dial to know."""
    address = literal(url.host)
    return address is not None and is_refused(address, settings.WEBHOOK_PRIVATE_NETWORKS)


def checked_addresses(host: str, port: int, allowed: Iterable[Network]) -> list[str]:
    """The addresses of a name, none of which is refused; for dialling by others than `Client`. Asks the name servers.

    Raises Unreachable.
    """
    spelled, networks = literal(host), list(allowed)
    try:
        found = [str(spelled)] if spelled else _look_up(host, port)
        refused = not found or any(is_refused(ipaddress.ip_address(text), networks) for text in found)
    except (OSError, UnicodeError, ValueError) as error:
        raise Unreachable from error
    if refused:
        metrics.EGRESS_DENIED.inc()
        raise Unreachable
    return found


def _look_up(host: str, port: int) -> list[str]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


class GuardedResolver(AbstractResolver):
    """Gives the addresses of a name if none of them is refused."""

    def __init__(self, resolve: Resolver, allowed: Iterable[Network]) -> None:
        self._resolve, self._allowed = resolve, list(allowed)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            addresses = [ipaddress.ip_address(text) for text in await self._resolve(host, port)]
        except (UnicodeError, ValueError) as error:
            raise OSError(str(error)) from error
        if not addresses:
            raise OSError("no address")
        if any(is_refused(address, self._allowed) for address in addresses):
            metrics.EGRESS_DENIED.inc()
            raise OSError("refused address")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def guarded_sockets(allowed: Iterable[Network]) -> Callable[[tuple[Any, ...]], socket.socket]:
    """The last gate, which addresses that a URL spells out pass as well: no resolver is asked for those."""
    networks = list(allowed)

    def dial(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, where = info
        if is_refused(ipaddress.ip_address(where[0]), networks):
            metrics.EGRESS_DENIED.inc()
            raise OSError("refused address")
        return socket.socket(family, kind, protocol)

    return dial


def system_resolver() -> Resolver:
    threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolver")

    async def resolve(host: str, port: int) -> list[str]:
        address = literal(host)
        if address is not None:
            return [str(address)]
        return await asyncio.get_running_loop().run_in_executor(threads, _look_up, host, port)

    return resolve

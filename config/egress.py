"""The one HTTP client for addresses that tenants choose: it cannot be turned against our own network.

A name is resolved once, every answer is checked, and the checked address itself is dialled, so that a name
that changes its mind in between gains nothing. It is built on aiohttp, told to follow no redirect, to know no
proxy of the environment, to keep no cookies and to decode no reply (docs/decisions/0018).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import aiohttp
import httpx
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings

from config import metrics

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[list[str]]]

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
REPLY_BYTES = 64 * 1024
MAX_URL_LENGTH = 2000
MAX_REDIRECTS = 3
DRIP_GRACE_SECONDS = 10.0
_DRIP_BYTES_PER_SECOND = 8 * 1024
_READ_SECONDS = 15.0
_USER_AGENT = "WhatsApp-API/1"
_CONNECTIONS = 1000
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


class EgressError(Exception):
    """No usable reply. The text is a fixed sentence that may be shown to the tenant."""


class Unreachable(EgressError):
    def __init__(self) -> None:
        # The same for an address we refuse and for one that does not answer: this is no port scanner.
        super().__init__("The receiver could not be reached.")


class TlsFailed(EgressError):
    def __init__(self) -> None:
        super().__init__("The receiver's TLS certificate is not valid for its name, or TLS failed.")


class TimedOut(EgressError):
    def __init__(self) -> None:
        super().__init__("The receiver did not answer in time.")


class BrokenReply(EgressError):
    def __init__(self) -> None:
        super().__init__("The receiver broke the connection or did not answer in HTTP.")


class TooLarge(EgressError):
    def __init__(self, most: int) -> None:
        super().__init__(f"The answer is larger than {most} bytes.")


class InvalidUrl(ValueError):
    """The text is no URL that may be called; the message says why."""


class Reply(NamedTuple):
    """``headers`` has lower-case names; ``body`` is cut after REPLY_BYTES and never decoded."""

    status: int
    headers: dict[str, str]
    body: bytes


class Fetched(NamedTuple):
    """The head of a reply whose body was handed over; ``url`` is where redirects led to, ``size`` is in bytes."""

    status: int
    headers: dict[str, str]
    url: str
    size: int


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


class _GuardedResolver(AbstractResolver):
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


def _guarded_sockets(allowed: Iterable[Network]) -> Callable[[tuple[Any, ...]], socket.socket]:
    """The last gate, which addresses that a URL spells out pass as well: no resolver is asked for those."""
    networks = list(allowed)

    def dial(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, where = info
        if is_refused(ipaddress.ip_address(where[0]), networks):
            metrics.EGRESS_DENIED.inc()
            raise OSError("refused address")
        return socket.socket(family, kind, protocol)

    return dial


def _system_resolver() -> Resolver:
    threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolver")

    async def resolve(host: str, port: int) -> list[str]:
        address = literal(host)
        if address is not None:
            return [str(address)]
        return await asyncio.get_running_loop().run_in_executor(threads, _look_up, host, port)

    return resolve


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.raw_headers}


def _redirect(target: httpx.URL, status: int, headers: Mapping[str, str]) -> httpx.URL | None:
    """Where a reply redirects to, None if it does not. One that leads nowhere we may go is unreachable."""
    if status not in (301, 302, 303, 307, 308) or "location" not in headers:
        return None
    try:
        return checked_url(str(target.join(headers["location"])))
    except (InvalidUrl, httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise Unreachable from error


async def _hand_over(
    response: aiohttp.ClientResponse,
    headers: Mapping[str, str],
    write: Callable[[bytes], object],
    most: int,
    patience: float,
) -> int:
    """The number of bytes handed over."""
    if not 200 <= response.status < 300:
        return 0
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise BrokenReply
    claimed = headers.get("content-length", "")
    if claimed.isdecimal() and int(claimed[:20]) > most:
        raise TooLarge(most)
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > most:
            raise TooLarge(most)
        if size < (time.monotonic() - patience) * _DRIP_BYTES_PER_SECOND:
            raise TimedOut
        try:
            write(chunk)
        except OSError as error:  # our disk, not the network
            raise RuntimeError("the answer could not be kept") from error
    return size


@contextmanager
def _as_egress_errors() -> Iterator[None]:
    """Turns what the layers below raise into EgressError."""
    try:
        yield
    except aiohttp.ClientSSLError as error:
        raise TlsFailed from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise Unreachable from error
    except TimeoutError as error:
        raise TimedOut from error
    except (aiohttp.ClientError, OSError) as error:
        raise BrokenReply from error


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """At most REPLY_BYTES of the body."""
    body = b""
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= REPLY_BYTES:
            break
    return body[:REPLY_BYTES]


class Client:
    """Keeps connections for reuse; belongs to the event loop that uses it first. Safe for many tasks at once.

    Networks in ``allowed`` may be dialled although they are not public (WEBHOOK_PRIVATE_NETWORKS by default).
    After ``drip_grace_seconds`` a body that comes slower than 8 kB/s on average counts as timed out.
    """

    def __init__(
        self,
        *,
        allowed: Iterable[Network] | None = None,
        resolve: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        total_seconds: float = TOTAL_SECONDS,
        drip_grace_seconds: float = DRIP_GRACE_SECONDS,
    ) -> None:
        self._drip_grace_seconds = drip_grace_seconds
        self._total_seconds = total_seconds
        self._allowed = list(settings.WEBHOOK_PRIVATE_NETWORKS if allowed is None else allowed)
        self._resolve, self._tls = resolve or _system_resolver(), tls or httpx.create_ssl_context(trust_env=False)
        self._opened: aiohttp.ClientSession | None = None

    def _session(self) -> aiohttp.ClientSession:
        """Opened in the event loop that it then belongs to."""
        if self._opened is None:
            connector = aiohttp.TCPConnector(
                ssl=self._tls,
                resolver=_GuardedResolver(self._resolve, self._allowed),
                socket_factory=_guarded_sockets(self._allowed),
                use_dns_cache=False,
                limit=_CONNECTIONS,
                keepalive_timeout=4.0,  # below the five seconds after which common servers hang up
            )
            self._opened = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
                read_bufsize=REPLY_BYTES,
            )
        return self._opened

    async def post(self, url: str, *, headers: Mapping[str, str], content: bytes) -> Reply:
        """POST once, within ``total_seconds`` from the look-up of the name to the end of the reply.

        Any status is a Reply, redirects too. Raises EgressError.
        """
        target = checked_url(url)
        with _as_egress_errors():
            async with (
                asyncio.timeout(self._total_seconds),
                self._request("POST", target, headers, content) as response,
            ):
                return Reply(response.status, _headers(response), await _beginning(response))
        raise AssertionError("left with a reply or an error")

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        target: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | None = None,
        read: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        spelled = literal(target.host)  # aiohttp takes the canonical spelling only
        async with self._session().request(
            method,
            yarl.URL(str(target.copy_with(host=str(spelled)) if spelled else target), encoded=True),
            headers=headers,
            data=content,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=read),
        ) as response:
            try:
                yield response
            finally:
                # What was not read to its end is cut off: a farewell in TLS would wait for the other side.
                if response.connection is not None and response.connection.transport is not None:
                    response.connection.transport.abort()

    async def get(
        self,
        url: str,
        *,
        write: Callable[[bytes], object],
        most_bytes: int,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
        max_redirects: int = MAX_REDIRECTS,
        may_follow: Callable[[httpx.URL], bool] = lambda target: True,
    ) -> Fetched:
        """GET within ``total_seconds``, redirects included, and hand the body of a 2xx over piece by piece.

        Redirects are followed at most ``max_redirects`` times, each to an address checked anew; one beyond is the
        Fetched itself, as is any other status, with nothing written. One that ``may_follow`` says no to counts as
        unreachable. The body comes as it was sent: a reply that is encoded although we ask for none is broken.
        ``headers`` go before our own. Raises EgressError, and InvalidUrl for ``url`` itself.
        """
        target, patience = checked_url(url), time.monotonic() + self._drip_grace_seconds
        sent = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": _USER_AGENT} | dict(headers or {})
        with _as_egress_errors():
            async with asyncio.timeout(self._total_seconds):
                for left in range(max_redirects, -1, -1):
                    async with self._request("GET", target, sent, read=_READ_SECONDS) as response:
                        found = _headers(response)
                        following = _redirect(target, response.status, found) if left else None
                        if following is None:
                            size = await _hand_over(response, found, write, most_bytes, patience)
                            return Fetched(response.status, found, str(target), size)
                    if not may_follow(following):
                        raise Unreachable
                    target = following
        raise AssertionError("the last round returns")

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            await asyncio.sleep(0)  # connections that were cut off are closed by the next turn of the loop

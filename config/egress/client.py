"""The client: one attempt, one reply, and nothing that a receiver does takes longer or more room than is said."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

import aiohttp
import httpx
import yarl
from django.conf import settings

from config.egress.addresses import (
    GuardedResolver,
    Network,
    Resolver,
    checked_url,
    guarded_sockets,
    literal,
    system_resolver,
)
from config.egress.errors import BrokenReply, InvalidUrl, TimedOut, TlsFailed, TooLarge, Unreachable

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
REPLY_BYTES = 64 * 1024
MAX_REDIRECTS = 3
DRIP_GRACE_SECONDS = 10.0
_DRIP_BYTES_PER_SECOND = 8 * 1024
_READ_SECONDS = 15.0
_USER_AGENT = "WhatsApp-API/1"
_CONNECTIONS = 1000


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
        self._resolve, self._tls = resolve or system_resolver(), tls or httpx.create_ssl_context(trust_env=False)
        self._opened: aiohttp.ClientSession | None = None

    def _session(self) -> aiohttp.ClientSession:
        """Opened in the event loop that it then belongs to."""
        if self._opened is None:
            connector = aiohttp.TCPConnector(
                ssl=self._tls,
                resolver=GuardedResolver(self._resolve, self._allowed),
                socket_factory=guarded_sockets(self._allowed),
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

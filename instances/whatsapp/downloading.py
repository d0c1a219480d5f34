"""Fetches received files from WhatsApp's media servers, as a stream. See docs/decisions/0015-streamed-downloads.md."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import ssl
from functools import cache

import httpx
from django.conf import settings

from config.egress import Client, EgressError, InvalidUrl, TooLarge
from instances.whatsapp.files import RemoteFile
from instances.whatsapp.unsealing import Sink, Unreadable, Unsealing, sealed_size, served_as, unsealing

SECONDS = 300.0  # for the whole of a file
_ORIGIN = "https://web.whatsapp.com"
# What its web client shows, and the client library too; the rest of our usual headers would name us.
_HEADERS = {"Origin": _ORIGIN, "Referer": f"{_ORIGIN}/", "User-Agent": "Mozilla/5.0"}
_WHATSAPPS_OWN = (".whatsapp.net", ".whatsapp.com", ".fbcdn.net")
_GONE = (403, 404, 410)


class Unavailable(Exception):
    """Nothing usable came for now; asking again later may help."""


class Gone(Exception):
    """WhatsApp does not keep the file any more."""


class TooMuch(Exception):
    """There is more of the file than was to be taken."""


def download(remote: RemoteFile, sink: Sink, most_bytes: int) -> int:
    """Fetch and decrypt a file piece by piece; returns its size in bytes.

    It takes SECONDS at most and the memory of a few pieces, whatever comes. What ``sink`` got is the file only if
    this returns: raises Gone, TooMuch, Unavailable, Unreadable, and what ``sink`` raises (OSError as RuntimeError).
    Blocks; not for threads that run an event loop.
    """
    content = unsealing(remote, sink)
    status = asyncio.run(_fetch(_address(remote), content, sealed_size(remote, most_bytes)))
    if status in _GONE:
        raise Gone(f"status {status}")
    if status != 200:
        raise Unavailable(f"status {status}")
    content.finish()
    return content.size


def _address(remote: RemoteFile) -> str:
    """On the host of our choice: the sender's part is the path. Raises Unreadable."""
    if not remote.direct_path.startswith("/"):
        raise Unreadable("the message names no place")
    digest = base64.urlsafe_b64encode(remote.file_enc_sha256).decode()
    query = f"hash={digest}&mms-type={served_as(remote.kind)}&__wa-mms="
    join = "&" if "?" in remote.direct_path else "?"
    return f"https://{settings.WHATSAPP_MEDIA_HOST}{remote.direct_path}{join}{query}"


async def _fetch(address: str, content: Unsealing, most_bytes: int) -> int:
    """The status of the answer."""
    client = _client()
    try:
        fetched = await client.get(
            address, write=content.write, most_bytes=most_bytes, headers=_HEADERS, may_follow=_is_whatsapps
        )
    except InvalidUrl as error:
        raise Unreadable("the message names no place") from error
    except TooLarge as error:
        raise TooMuch(str(error)) from error
    except EgressError as error:
        raise Unavailable(str(error)) from error
    finally:
        await client.aclose()
    return fetched.status


def _client() -> Client:
    """The one place to which a proxy of the number would have to be told."""
    try:  # the sandbox's is on loopback, and whoever set it may dial it
        allowed = [ipaddress.ip_network(settings.WHATSAPP_MEDIA_HOST.partition(":")[0])]
    except ValueError:
        allowed = []
    return Client(allowed=allowed, tls=trusted(), total_seconds=SECONDS)


@cache
def trusted() -> ssl.SSLContext:
    """As the client library does it, by SSL_CERT_FILE. Kept: reading authorities takes longer than a small download."""
    return httpx.create_ssl_context(trust_env=True)


def _is_whatsapps(target: httpx.URL) -> bool:
    return target.scheme == "https" and (
        target.netloc.decode() == settings.WHATSAPP_MEDIA_HOST or target.host.endswith(_WHATSAPPS_OWN)
    )

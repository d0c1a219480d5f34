"""The one HTTP client for addresses that tenants choose: it cannot be turned against our own network.

A name is resolved once, every answer is checked, and the checked address itself is dialled, so that a name
that changes its mind in between gains nothing. It is built on aiohttp, told to follow no redirect, to know no
proxy of the environment, to keep no cookies and to decode no reply (docs/decisions/0018).
"""

from config.egress.addresses import (
    MAX_URL_LENGTH,
    Address,
    Network,
    Resolver,
    checked_addresses,
    checked_url,
    is_refused,
    literal,
    names_refused_address,
)
from config.egress.client import (
    CONNECT_SECONDS,
    DRIP_GRACE_SECONDS,
    MAX_REDIRECTS,
    REPLY_BYTES,
    TOTAL_SECONDS,
    Client,
    Fetched,
    Reply,
)
from config.egress.errors import BrokenReply, EgressError, InvalidUrl, TimedOut, TlsFailed, TooLarge, Unreachable

__all__ = [
    "CONNECT_SECONDS",
    "DRIP_GRACE_SECONDS",
    "MAX_REDIRECTS",
    "MAX_URL_LENGTH",
    "REPLY_BYTES",
    "TOTAL_SECONDS",
    "Address",
    "BrokenReply",
    "Client",
    "EgressError",
    "Fetched",
    "InvalidUrl",
    "Network",
    "Reply",
    "Resolver",
    "TimedOut",
    "TlsFailed",
    "TooLarge",
    "Unreachable",
    "checked_addresses",
    "checked_url",
    "is_refused",
    "literal",
    "names_refused_address",
]

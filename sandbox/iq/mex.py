"""GraphQL over <iq xmlns="w:mex">: a query is named by an id that belongs to the version of the client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.model import Account, Device
from sandbox.wire import Node, node

from .registry import IqError, handles

if TYPE_CHECKING:
    from sandbox.network import Network

Answer = Callable[["Network", Account, dict[str, Any]], Any]
QUERIES: dict[str, Answer] = {}


@handles("w:mex", "get")
def mex(net: Network, device: Device, iq: Node) -> list[Node]:
    query = iq.find("query")
    answer = QUERIES.get(query.text("query_id", "")) if query else None
    if query is None or answer is None:
        raise IqError(501, "feature-not-implemented")
    try:
        variables = json.loads(iq.data("query"))["variables"]
    except (ValueError, KeyError, TypeError) as e:
        raise IqError(400, "bad-request") from e
    data = answer(net, device.account, variables)
    return [node("result", json.dumps({"data": data}))]

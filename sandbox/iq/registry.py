"""Who answers which info query."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.model import Device
from sandbox.wire import SERVER, Node, node

if TYPE_CHECKING:
    from sandbox.network import Network
    from sandbox.session import Session

log = logging.getLogger(__name__)

Handler = Callable[["Network", Device, Node], list[Node] | None]
SessionHandler = Callable[["Network", "Session", Node], list[Node] | None]

_HANDLERS: dict[tuple[str, str], Handler] = {}
_SESSION_HANDLERS: dict[tuple[str, str], SessionHandler] = {}


class IqError(Exception):
    """Common pairs: 400 bad-request, 401 not-authorized, 403 forbidden, 404 item-not-found,
    405 not-allowed, 406 not-acceptable, 410 gone, 429 rate-overlimit, 503 service-unavailable.
    whatsmeow compares code *and* text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code, self.text = code, text


def handles(xmlns: str, *types: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        _HANDLERS.update({(xmlns, kind): handler for kind in types})
        return handler

    return register


def before_login(xmlns: str, *types: str) -> Callable[[SessionHandler], SessionHandler]:
    def register(handler: SessionHandler) -> SessionHandler:
        _SESSION_HANDLERS.update({(xmlns, kind): handler for kind in types})
        return handler

    return register


def answer(net: Network, session: Session, iq: Node) -> None:
    """Send the result or the error of a query."""
    xmlns, kind = iq.text("xmlns", ""), iq.text("type")
    to, id_ = iq.attrs.get("to", SERVER), iq.text("id")
    if _is_silenced(net, session, xmlns):
        return
    try:
        content = _result(net, session, iq, (xmlns, kind)) or []
        session.send(node("iq", *content, type="result", from_=to, id=id_))
    except IqError as e:
        session.send(node("iq", node("error", code=e.code, text=e.text), type="error", from_=to, id=id_))


def _is_silenced(net: Network, session: Session, xmlns: str) -> bool:
    """Whether this is one of the next N queries of a namespace that get no answer."""
    account = session.device.account if session.device else None
    if account is None or not (left := account.faults.iq_silence.get(xmlns, 0)):
        return False
    account.faults.iq_silence[xmlns] = left - 1
    net.save_account(account)
    return True


def _result(net: Network, session: Session, iq: Node, what: tuple[str, str]) -> list[Node] | None:
    if session.device and (code := session.device.account.faults.iq_errors.get(what[0])):
        raise IqError(code, "injected")
    if handler := _SESSION_HANDLERS.get(what):
        return handler(net, session, iq)
    handler_of_device = _HANDLERS.get(what)
    if handler_of_device is None:
        log.warning("unhandled %s", iq)
        raise IqError(501, "feature-not-implemented")
    if session.device is None:
        raise IqError(401, "not-authorized")
    return handler_of_device(net, session.device, iq)

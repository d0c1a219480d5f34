"""What the session worker's writer calls for each kind of news."""

from __future__ import annotations

from instances.holding.writer import Handler
from instances.whatsapp.news import HistoryBlob, Inbound, ReadOnPhone, Receipt, Typing
from messaging.receiving import history
from messaging.receiving.messages import inbound, typing
from messaging.receiving.receipts import read_on_phone, receipts

HANDLERS: dict[type, Handler] = {
    Receipt: receipts,
    Inbound: inbound,
    ReadOnPhone: read_on_phone,
    Typing: typing,
    HistoryBlob: history.keep,
}

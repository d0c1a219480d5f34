from __future__ import annotations

from instances.holding.writer import Handler
from instances.whatsapp.news import Inbound, Receipt
from messaging.receiving.messages import inbound
from messaging.receiving.receipts import receipts

HANDLERS: dict[type, Handler] = {Receipt: receipts, Inbound: inbound}

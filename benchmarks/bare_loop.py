"""The client library as its documentation uses it, without any of the product: what the lane is compared with.

``python -m benchmarks.bare_loop STORE`` in the sandbox's environment prints lines of JSON: ``qr`` codes, ``connected``
once linked, and after each line ``{"to": phone, "messages": count}`` on standard input the ``seconds`` it took.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from typing import Any

import pylibmagic  # noqa: F401  (before neonize: it brings libmagic)
from neonize.client import NewClient
from neonize.events import ConnectedEv
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from neonize.utils import build_jid

# The library prints to standard output; our lines go where it cannot disturb them.
LINES = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
logging.getLogger("neonize.utils.log").setLevel(logging.WARNING)
# As in the product: without WAL each send would wait for the disk.
STORE = "?_journal_mode=WAL&_synchronous=NORMAL&_foreign_keys=on&_busy_timeout=15000&_x="


def tell(**line: Any) -> None:
    LINES.write(json.dumps(line) + "\n")


def send(client: NewClient, to: str, messages: int) -> float:
    jid, started = build_jid(to), time.perf_counter()
    for number in range(messages):
        client.send_message(jid, Message(conversation=f"message {number}"))
    return time.perf_counter() - started


def main() -> None:
    client = NewClient(sys.argv[1] + STORE, uuid="bare", new_device=True)
    client.event.qr(lambda _, code: tell(qr=code.decode()))
    client.event(ConnectedEv)(lambda *_: tell(connected=True))
    threading.Thread(target=client.connect, daemon=True).start()
    for line in sys.stdin:
        try:
            tell(seconds=send(client, **json.loads(line)))
        except Exception as error:
            tell(error=repr(error))
    with contextlib.suppress(Exception):
        client.stop()
    os._exit(0)  # the library's threads never end by themselves


if __name__ == "__main__":
    main()

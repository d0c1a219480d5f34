"""Links one number: a process of its own, because a failed link never returns and leaks.

    python -m instances.holding.linker

Writes JSON lines: ``{"qr", "seconds"}``, ``{"pairing_code"}``, ``{"status"}``, ``{"event", "raw"}`` (base64:
what arrives between the link and its hand-over), ``{"paired"}`` (the device's JID), ``{"done"}``, ``{"error"}``.
Reads JSON lines: first ``{"store", "device_name", "proxy"}``, then ``{"pair_phone"}`` asks for a pairing code. The
end of its input ends it. The store's name and the proxy may hold passwords, which a command line would show.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from typing import Any

from google.protobuf.message import DecodeError

from instances.whatsapp.client import Client
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.library import proto
from instances.whatsapp.translating.values import jid_of

_PAIRED, _CONNECTED, _HISTORY, _MESSAGE, _RECEIPT = 2, 3, 13, 17, 18
_DRAIN_SECONDS, _DRAIN_LIMIT_SECONDS = 0.3, 5.0
_HISTORY_SECONDS = 20.0  # for a part of the history that was announced: nobody announces it again
_KEY_SECONDS = 1.0  # for the phone's key of the settings; what comes later comes over the next connection
_NAME_SECONDS = 5.0  # for the first of five parts of the settings, fetched one after another
_output = threading.Lock()


def say(**line: Any) -> None:
    with _output:
        print(json.dumps(line), flush=True)


def _has(part: str, raw: bytes) -> bool:
    """Whether a message of the phone to its own devices carries this."""
    try:
        message = proto.Message.FromString(raw).Message
    except DecodeError:
        return False
    return bool(message.protocolMessage.HasField(part))


class Linker:
    def __init__(self, store: str, **options: Any) -> None:
        codes = frozenset({_PAIRED, _CONNECTED, _HISTORY, _MESSAGE, _RECEIPT})
        self.client = Client(store, None, codes, self._event, self._qr, lambda text: say(status=text), **options)
        self._showing = threading.Event()
        self._last = time.monotonic()
        self._got_key = threading.Event()
        self._announced = 0  # parts of the history that are being downloaded

    def _qr(self, code: str, seconds: int) -> None:
        say(qr=code, seconds=seconds)
        self._showing.set()

    def _event(self, code: int, raw: bytes) -> None:
        self._last = time.monotonic()
        if code == _PAIRED:
            pairing = proto.PairStatus.FromString(raw)
            say(**({"error": pairing.Error} if pairing.Error else {"paired": str(jid_of(pairing.ID))}))
        elif code == _CONNECTED:
            threading.Thread(target=self._finish, daemon=True).start()
        else:
            if code == _MESSAGE and _has("appStateSyncKeyShare", raw):
                self._got_key.set()
            self._announced += _has("historySyncNotification", raw) if code == _MESSAGE else -(code == _HISTORY)
            say(event=code, raw=base64.b64encode(raw).decode())

    def _finish(self) -> None:
        """Hand over: no more from the socket, then what is queued, then the end."""
        deadline = time.monotonic() + _HISTORY_SECONDS
        while self._announced > 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        self._await_settings()
        self.client.disconnect()
        deadline = time.monotonic() + _DRAIN_LIMIT_SECONDS
        while time.monotonic() < deadline and time.monotonic() - self._last < _DRAIN_SECONDS:
            time.sleep(0.02)
        say(done=True)
        os._exit(0)

    def _await_settings(self) -> None:
        """The library fetches them once, when it gets their key: cut off, it would know neither name nor contacts."""
        if not self._got_key.wait(_KEY_SECONDS):
            return
        begun = time.monotonic()
        while not self.client.account.names().name and time.monotonic() < begun + _NAME_SECONDS:
            time.sleep(0.01)
        # The other four parts leave no sign that could be asked for; each takes about as long as the first.
        time.sleep(4 * min(time.monotonic() - begun, _NAME_SECONDS / 4))

    def listen(self) -> None:
        """Serve requests of the parent until it closes the pipe, which also happens when it dies."""
        for line in sys.stdin:
            phone = json.loads(line)["pair_phone"]
            self._showing.wait()
            try:
                say(pairing_code=self.client.pairing_code(phone))
            except SendFailed as error:
                say(error=f"no pairing code: {error}")
        os._exit(0)

    def run(self) -> None:
        threading.Thread(target=self.listen, daemon=True).start()
        error = self.client.run()
        say(error=error or "the library gave up")
        os._exit(1)


if __name__ == "__main__":
    if first := sys.stdin.readline():
        Linker(**json.loads(first)).run()

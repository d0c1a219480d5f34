"""Phones of tests with real clients, and what they show."""

from __future__ import annotations

import base64
import itertools
import os
from typing import Any

from .harness import ClientProcess, wait_until

ALICE, BOB = "491700000001", "491700000002"  # whose phones the clients "alice" and "bob" are linked to
_numbers = itertools.count(491712000000)
DATA, THUMBNAIL, WAVEFORM = os.urandom(70_001), os.urandom(900), bytes(range(64))
VCARD = "BEGIN:VCARD\nVERSION:3.0\nFN:Erika\nTEL;waid=491700000009:+49 170 0000009\nEND:VCARD"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def new_phone(clients: ClientProcess, name: str = "Customer") -> str:
    """The number of a phone that nobody has used."""
    number = str(next(_numbers))
    clients.sandbox("create_phone", phone=number, name=name)
    return number


def lid(clients: ClientProcess, number: str) -> str:
    return str(clients.sandbox("phone", phone=number)["lid"])


def received(clients: ClientProcess, phone: str, id_: str) -> dict[str, Any]:
    """A message as the phone shows it, once it is there."""
    return dict(wait_until(lambda: next(iter(_found(clients, phone, id_)), None), f"{id_} at {phone}"))


def _found(clients: ClientProcess, phone: str, id_: str) -> list[dict[str, Any]]:
    return [m for m in clients.sandbox("messages", phone=phone, limit=1000, raw=True)["results"] if m["id"] == id_]


def subset(part: Any, whole: Any) -> bool:
    """Whether everything in one JSON value is in the other."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and subset(v, whole[k]) for k, v in part.items())
    return bool(part == whole)

"""Messages both ways, as careful users write them, for as long as it is wanted."""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx

from benchmarks.product import Product
from chaos.reckoning import Sent

LONGEST_SECONDS = 180.0  # for one message to be accepted
# Whoever gets one of these asks again under the same key.
_AGAIN = ("unavailable", "starting", "interrupted", "idempotency_key_in_use")
TYPES = ("text", "text", "text", "location")


class Number(NamedTuple):
    instance: str
    phone: str
    customer: str


class Writer(threading.Thread, ABC):
    """Writes to and from ``numbers`` in turn, about ``per_second`` messages in all, until it is ``over``.

    ``sent`` is what was accepted, in the order in which it was. ``error`` is what ended it early.
    """

    def __init__(self, product: Product, numbers: Sequence[Number], per_second: float, seed: int) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.product, self.numbers, self.pause = product, numbers, 1 / per_second
        self.dice, self.over = random.Random(seed), threading.Event()
        self.sent: list[Sent] = []
        self.error: BaseException | None = None
        self.longest = 0.0  # seconds until a message was accepted
        self._places: dict[str, int] = defaultdict(int)

    def run(self) -> None:
        try:
            while not self.over.is_set():
                number = self.dice.choice(self.numbers)
                place = self._places[number.instance]
                self._places[number.instance] += 1
                began = time.monotonic()
                text = self.write(number, place)
                self.longest = max(self.longest, time.monotonic() - began)
                self.sent.append(Sent(number.instance, place, text))
                self.over.wait(self.pause)
        except BaseException as error:
            self.error = error

    @abstractmethod
    def write(self, number: Number, place: int) -> str:
        """Write the number's message of this place, and return its text once it is accepted."""


class Business(Writer):
    """Sends to customers over REST, again under the same key until there is an answer."""

    def run(self) -> None:
        with httpx.Client(**self.product.api_options) as self.http:
            super().run()

    def write(self, number: Number, place: int) -> str:
        text = f"out {number.phone} {place}"
        body = {"instance": number.instance, "to": number.customer} | _content(self.dice.choice(TYPES), text)
        deadline = time.monotonic() + LONGEST_SECONDS
        while True:
            try:
                answer = self.http.post("/api/messages", json=body, headers={"Idempotency-Key": text})
                if answer.status_code == 202:
                    return text
                code = answer.json()["code"]
            except (httpx.TransportError, ValueError) as error:
                code = str(error)
            else:
                if code not in _AGAIN:
                    raise AssertionError(f"{text} was refused: {answer.status_code} {answer.text}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{text} was not accepted within {LONGEST_SECONDS:.0f} s: {code}")
            time.sleep(0.1)


class Customers(Writer):
    """Virtual phones write to the numbers, and read what they got."""

    def write(self, number: Number, place: int) -> str:
        text = f"in {number.phone} {place}"
        self.product.control("send_text", phone=number.customer, to=number.phone, text=text)
        return text


def _content(kind: str, text: str) -> dict[str, Any]:
    if kind == "location":
        return {"type": "location", "location": {"latitude": 52.5, "longitude": 13.4, "name": text}}
    return {"type": "text", "text": {"body": text}}


def text_of(message: dict[str, Any]) -> str:
    """What names a message, as the API or a virtual phone shows it."""
    if message["type"] == "location":
        return str(message["location"]["name"])
    text = message["text"]
    return str(text["body"] if isinstance(text, dict) else text)

"""The product that is to suffer, what both ends tell of it, and the run as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import httpx

from benchmarks.client import LoadError
from benchmarks.product import Product
from chaos.reckoning import DOUBTFUL, Direction, held_twice, reckon
from chaos.traffic import Business, Customers, Number, Writer, text_of
from chaos.troubles import Troubles
from stack.testing import RunningStack

LEASE_SECONDS = 6  # short, so that many take-overs fit into a run
FREEZE_SECONDS = 2.0 * LEASE_SECONDS
_FIRST_NUMBER, _FIRST_CUSTOMER = 15_570_000_000, 15_580_000_000
_UNFINISHED = ("queued", "preparing", "sending", "held")
_WRITERS = 4
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """One run: ``seconds`` of trouble, ``per_second`` messages each way, ``settle_seconds`` for what is under way."""

    seed: int
    seconds: float = 180.0
    numbers: int = 30
    workers: int = 3
    per_second: float = 8.0
    settle_seconds: float = 240.0


@dataclass
class Result:
    plan: Plan
    out: Direction
    inbound: Direction
    twice: int
    troubles: Troubles
    away: list[float]  # seconds between two logins of a number, each time
    slowest: float  # seconds until a message was accepted
    settled: float  # seconds after the last trouble until nothing was under way
    logged: str = ""  # what the processes complained of


def environ(plan: Plan) -> dict[str, str]:
    return {
        "DATABASE_URL": "embedded",
        "SESSION_WORKERS": str(plan.workers),
        "WHATSAPP_WORKERS": "0",
        "LEASE_SECONDS": str(LEASE_SECONDS),
    }


def run(plan: Plan, say: Say) -> Result:
    """Start the product, hurt it, and count. Raises LoadError or AssertionError when there is nothing to count."""
    say("starting the product")
    with RunningStack(environ(plan)) as stack:
        product = Product(stack)
        try:
            product.lift_limits()
            say(f"linking {plan.numbers} numbers")
            numbers = _numbers(product, plan.numbers)
            result = _suffer(product, numbers, plan, say)
            result.logged = stack.complaints()
            return result
        except BaseException:
            print(stack.complaints())
            raise
        finally:
            product.close()


def _numbers(product: Product, count: int) -> list[Number]:
    customers = [str(_FIRST_CUSTOMER + number) for number in range(max(1, count // 3))]
    found = []
    for phone in customers:
        product.api("POST", "/api/sandbox/phones", json={"phone": phone, "name": "Customer"})
    for number in range(count):
        phone = str(_FIRST_NUMBER + number)
        product.api("POST", "/api/sandbox/phones", json={"phone": phone, "name": f"Shop {number}"})
        instance = product.api("POST", "/api/instances", json={"name": phone, "network": "sandbox"})["id"]
        found.append(Number(instance, phone, customers[number % len(customers)]))
    product.link([(number.instance, number.phone) for number in found])
    return found


def _suffer(product: Product, numbers: list[Number], plan: Plan, say: Say) -> Result:
    # Each number has one writer, who alone knows the order of its messages.
    shares = [numbers[place::_WRITERS] for place in range(_WRITERS)]
    rate = plan.per_second / _WRITERS
    out = [Business(product, share, rate, plan.seed + place) for place, share in enumerate(shares)]
    inbound = [Customers(product, numbers, plan.per_second, plan.seed)]
    writers: list[Writer] = [*out, *inbound]
    troubles = Troubles(product, numbers, plan.workers, FREEZE_SECONDS, plan.seed)
    for writer in writers:
        writer.start()
    try:
        until = time.monotonic() + plan.seconds
        while time.monotonic() < until and not any(writer.error for writer in writers):
            say(troubles.one())
            time.sleep(troubles.dice.uniform(0.5, 4.0))
    finally:
        for writer in writers:
            writer.over.set()
        troubles.heal()
        for writer in writers:
            writer.join()
    for writer in writers:
        if writer.error:
            raise writer.error
    say("waiting until nothing is under way")
    ended = time.monotonic()
    _settle(product, len(numbers), plan.settle_seconds)
    settled = time.monotonic() - ended
    say("counting")
    return _count(product, numbers, plan, troubles, out, inbound, settled)


def _settle(product: Product, numbers: int, seconds: float) -> None:
    """Wait until every number is connected and nothing is to be sent. Raises LoadError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            pages = [product.api("GET", "/api/messages", params={"status": one}) for one in _UNFINISHED]
            left = [row for page in pages for row in page["results"]]
            rows = product.rows()
            away = [row for row in rows if row["state"] != "connected"]
            if not left and len(rows) - len(away) >= numbers:
                return
            state = "\n".join(
                [f"{len(left)} messages under way, {len(rows) - len(away)} of {numbers} numbers connected"]
                + [f"{row['id']} of {row['instance']} is {row['status']}, from {row['created_at']}" for row in left[:9]]
                + [f"{row['id']} is {row['state']} ({row['reason']}) since {row['since']}" for row in away[:4]]
            )
        except (httpx.TransportError, LoadError) as error:
            state = str(error)
        if time.monotonic() > deadline:
            raise LoadError(f"not settled {seconds:.0f} s after the last trouble: {state}")
        time.sleep(0.5)


def _count(
    product: Product,
    numbers: list[Number],
    plan: Plan,
    troubles: Troubles,
    out: list[Business],
    inbound: list[Customers],
    settled: float,
) -> Result:
    sent = list(chain.from_iterable(writer.sent for writer in out))
    written = list(chain.from_iterable(writer.sent for writer in inbound))
    deadline = time.monotonic() + 30  # receipts and what is delivered again are on their way
    while True:
        statuses, received = _told(product)
        arrived = [
            text_of(one) for customer in sorted({n.customer for n in numbers}) for one in _inbox(product, customer)
        ]
        counted = reckon(sent, arrived, statuses, _doubted(product)), reckon(written, received)
        open_ends = counted[0].lost or counted[0].unsettled or counted[1].lost
        if not open_ends or time.monotonic() > deadline:
            break
        time.sleep(2)
    logins = [product.control("connections", phone=number.phone) for number in numbers]
    return Result(
        plan=plan,
        out=counted[0],
        inbound=counted[1],
        twice=sum(held_twice(one, troubles.freezes) for one in logins),
        troubles=troubles,
        away=[later["since"] - earlier["until"] for one in logins for earlier, later in _gaps(one)],
        slowest=max(writer.longest for writer in out),
        settled=settled,
    )


def _gaps(logins: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    pairs = pairwise(logins)
    return ((one, two) for one, two in pairs if one["until"] is not None and one["until"] < two["since"])


def _told(product: Product) -> tuple[dict[str, str], list[str]]:
    """What the API says: the status of each outbound text, and the inbound texts, oldest first."""
    statuses: dict[str, str] = {}
    received: list[str] = []
    url: str | None = "/api/messages?limit=100"
    while url:
        page = product.api("GET", url)
        for row in page["results"]:
            if row["direction"] == "inbound":
                received.append(text_of(row))
            else:
                statuses[text_of(row)] = row["status"]
        url = page["next"]
    return statuses, received[::-1]


def _doubted(product: Product) -> set[str]:
    """The texts of which the API has said, at some time, that nobody can know."""
    found: set[str] = set()
    query = {"types": f"message.{DOUBTFUL}", "limit": 100}
    page = product.api("GET", "/api/events", params=query)
    while True:
        found |= {text_of(event["data"]) for event in page["results"]}
        if not page["has_more"]:
            return found
        page = product.api("GET", "/api/events", params=query | {"after": page["next"]})


def _inbox(product: Product, phone: str) -> Iterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None:
        page = product.control("messages", phone=phone, after=after, limit=1000)
        yield from (one for one in page["results"] if not one["from_me"])
        after = page["next"]

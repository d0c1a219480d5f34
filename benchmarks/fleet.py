"""Many numbers on three session workers: the start from cold, and what they cost at rest.

And a long life in minutes: thousands of reconnects of one worker's numbers, and what they leave behind in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psutil

from benchmarks.options import DATABASES, Options
from benchmarks.product import SESSIONS, Product, wait_until
from benchmarks.report import Row
from stack.testing import RunningStack

WORKERS, RECONNECTING, REST_SECONDS = 3, 20, 30.0
_SETTLING_SECONDS = 10.0  # what the numbers brought along when they came is done


def measure(options: Options) -> Iterator[Row]:
    """With products of their own, each removed at its end."""
    if options.fleet:
        environ = {"SESSION_WORKERS": str(WORKERS), "SESSION_CAPACITY": str(options.fleet)}
        with _product(options, environ) as product:
            yield from _cold(product, options.fleet)
    if options.reconnects:
        with _product(options, {}) as product:
            yield from _reconnects(product, options.reconnects)


@contextmanager
def _product(options: Options, environ: dict[str, str]) -> Iterator[Product]:
    database = {"DATABASE_URL": DATABASES[options.database], "WHATSAPP_WORKERS": "0"}
    with RunningStack(database | environ) as stack:
        product = Product(stack)
        try:
            product.lift_limits()
            yield product
        finally:
            product.close()


def _cold(product: Product, count: int) -> Iterator[Row]:
    started = time.perf_counter()
    product.add_numbers(count)
    linked = time.perf_counter() - started
    product.stack.stop()
    started = time.perf_counter()
    product.stack.start()
    healthy = time.perf_counter() - started
    wait_until(lambda: product.sessions() == count and product.connected() == count, "all numbers connected", 0.5)
    seconds = time.perf_counter() - started
    note = f"the product healthy after {healthy:.1f} s; {count} links took {linked:.0f} s"
    yield Row("fleet.cold", f"start of everything to {count} numbers connected", seconds, "s", note=note)
    # The first workers take what is free and give to those that come later, until all have nearly as many.
    wait_until(lambda: _balanced(product.shares()) and product.connected() == count, "the numbers' balance", 1)
    balanced = time.perf_counter() - started - seconds
    workers = [f"sessions-sandbox-{number}" for number in range(1, WORKERS + 1)]
    held = [product.memory(worker) for worker in workers]
    megabytes, threads = sum(one for one, _ in held), sum(one for _, one in held)
    shares = ", ".join(map(str, product.shares()))
    note = (
        f"{', '.join(f'{one:.0f}' for one, _ in held)} MB, {threads} threads; {shares} numbers after {balanced:.0f} s"
    )
    yield Row("fleet.memory", "session workers' RSS for each number", megabytes / count, "MB", note=note)
    time.sleep(_SETTLING_SECONDS)
    before, began = product.cpu_seconds(), time.perf_counter()
    time.sleep(REST_SECONDS)
    after, lasted = product.cpu_seconds(), time.perf_counter() - began
    used = {name: (after[name] - before[name]) / lasted * 100 for name in before}
    mine = sum(used[worker] for worker in workers)
    others = ", ".join(f"{name} {share:.1f}" for name, share in sorted(used.items()) if name not in workers)
    name = f"session workers at rest, {count} numbers"
    yield Row("fleet.idle", name, mine, "% of a core", note=f"in all {sum(used.values()):.1f}: {others}")


def _balanced(shares: list[int]) -> bool:
    """Nothing is moved any more, see ``instances.holding.balance``."""
    fair = -(-sum(shares) // WORKERS)
    return len(shares) == WORKERS and shares[-1] <= fair + max(1, fair // 10)


class _Weight(NamedTuple):
    pid: int
    megabytes: float
    descriptors: int
    threads: int


def _weigh(product: Product) -> _Weight | None:
    """None while the worker is being replaced."""
    try:
        process = psutil.Process(product.stack.processes()[SESSIONS]["pid"] or 0)
        return _Weight(process.pid, process.memory_info().rss / 2**20, process.num_fds(), process.num_threads())
    except psutil.NoSuchProcess:
        return None


def _reconnects(product: Product, count: int) -> Iterator[Row]:
    """Half of them are cut by the network, after which the library connects again; half are restarts by the API."""
    product.add_numbers(RECONNECTING)
    numbers = product.linked()
    product.restart_session_worker()
    weights = [weight for weight in [_weigh(product)] if weight]
    started, done = time.perf_counter(), 0
    while done < count:
        cut = (done // RECONNECTING) % 2 == 0
        logins = {phone: _logins(product, phone) for _, phone in numbers}
        for instance, phone in numbers:
            if cut:
                product.control("drop", phone=phone)
            else:
                product.api("POST", f"/api/instances/{instance}/restart")
        wait_until(
            lambda seen=logins: (
                all(_logins(product, phone) > seen[phone] for _, phone in numbers)  # type: ignore[misc]
                and product.sessions() == len(numbers) == product.connected()
            ),
            "the numbers' return",
        )
        done += len(numbers)
        weights += [weight for weight in [_weigh(product)] if weight]
    seconds, recycled = time.perf_counter() - started, len({weight.pid for weight in weights}) - 1
    heaviest = max(weight.megabytes for weight in weights)
    note = (
        f"at first {weights[0].megabytes:.0f} MB; at most {max(w.descriptors for w in weights)} descriptors and "
        f"{max(w.threads for w in weights)} threads; replaced {recycled} times; {done / seconds:.1f} reconnects/s"
    )
    name = f"session worker's RSS at most in {done} reconnects of {len(numbers)} numbers"
    yield Row("reconnects.memory", name, heaviest, "MB", note=note)


def _logins(product: Product, phone: str) -> int:
    return len(product.control("connections", phone=phone))

"""The running product as the benchmarks use it: REST, the sandbox's control socket, and its processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.client import Load, LoadError, load, request_bytes, run
from stack.paths import PROJECT, Paths
from stack.testing import RunningStack

SESSIONS = "sessions-sandbox-1"
LONGEST_SECONDS = 180.0  # for anything to come true
LINKS_AT_ONCE = 6
_MANY = 100  # messages
_SHARE = "session_worker_numbers"
_FIRST_PHONE = 15_560_000_000
_ACKNOWLEDGED = {"sent", "delivered", "read", "played"}


def wait_until(condition: Callable[[], Any], what: str, every: float = 0.1) -> Any:
    """The first true value of `condition`. Raises LoadError after LONGEST_SECONDS."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise LoadError(f"{what} did not come true within {LONGEST_SECONDS:.0f} s")
        time.sleep(every)
    return value


class Posted(NamedTuple):
    """Messages accepted under load."""

    load: Load
    ids: list[str]


class Product:
    """A started RunningStack with an instance, the number it is linked to, and a virtual phone, the receiver."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.instance = stack.instance
        self.number, self.receiver = stack.phones
        paths = Paths.of(stack.environ)
        self.sandbox_ready = paths.sandbox / "ready.json"
        self.control_socket = str(paths.sockets / "sandbox.sock")
        self._api = httpx.Client(**self.api_options)
        self._control = httpx.Client(**self.control_options)
        self._phones = 0

    def close(self) -> None:
        self._api.close()
        self._control.close()

    @property
    def api_options(self) -> dict[str, Any]:
        """For an httpx client of the REST API."""
        headers = {"Authorization": f"Bearer {self.stack.key}"}
        return {"base_url": self.stack.address, "headers": headers, "timeout": 60.0, "trust_env": False}

    @property
    def control_options(self) -> dict[str, Any]:
        """For an httpx client of the sandbox; ``transport`` is the caller's when it is asynchronous."""
        transport = httpx.HTTPTransport(uds=self.control_socket)
        return {"transport": transport, "base_url": "http://sandbox", "timeout": 30.0, "trust_env": False}

    def api(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer. Raises LoadError for an error answer."""
        return _checked(self._api.request(method, path, **options))

    def control(self, name: str, **arguments: Any) -> Any:
        """Call a method of the sandbox's control API. Raises LoadError."""
        return _checked(self._control.post(f"/control/{name}", json=arguments))["result"]

    def lift_limits(self) -> None:
        """Give the organization a plan as large as any run, as an operator would. Raises LoadError."""
        terms = ["--instances=1000", "--messages-per-month=100000000", "--requests-per-minute=10000000"]
        command = [sys.executable, "manage.py", "set_plan", self.stack.organization["id"], "benchmark", *terms]
        done = subprocess.run(command, cwd=PROJECT, env=self.stack.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LoadError(f"the limits were not lifted: {done.stderr[-500:]}")

    # --- numbers ----------------------------------------------------------------------------

    def new_phone(self) -> str:
        """A virtual phone in the organization's realm that the product's database does not know."""
        self._phones += 1
        number = str(_FIRST_PHONE + self._phones)
        self.control("create_phone", phone=number, realm=self.stack.organization["id"])
        return number

    def link_first(self) -> None:
        """Link the prepared instance with its prepared phone, and let both have met."""
        self.link([(self.instance, self.number)])
        self.wait_for_acknowledgements([self.post_message("hello")])

    def add_numbers(self, count: int) -> None:
        """Create so many instances and link each, through the REST API."""
        numbers = []
        for _ in range(count):
            self._phones += 1
            phone = str(_FIRST_PHONE + self._phones)
            self.api("POST", "/api/sandbox/phones", json={"phone": phone, "name": f"Number {self._phones}"})
            instance = self.api("POST", "/api/instances", json={"name": phone, "network": "sandbox"})["id"]
            numbers.append((instance, phone))
        self.link(numbers)

    def link(self, numbers: list[tuple[str, str]]) -> None:
        """Connect instances and have each scanned by its phone, LINKS_AT_ONCE at a time. Raises LoadError."""
        try:
            run(self._link_all(numbers))
        except TimeoutError:
            raise LoadError(f"linking {len(numbers)} numbers takes too long") from None
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _link_all(self, numbers: list[tuple[str, str]]) -> None:
        slots = asyncio.Semaphore(LINKS_AT_ONCE)
        async with httpx.AsyncClient(**self.api_options) as client, asyncio.timeout(LONGEST_SECONDS + len(numbers) * 5):

            async def link(instance: str, phone: str) -> None:
                async with slots:
                    _checked(await client.post(f"/api/instances/{instance}/connect"))
                    scan = {"instance": instance}
                    while (
                        answer := await client.post(f"/api/sandbox/phones/{phone}/scan", json=scan)
                    ).status_code == 409:
                        await asyncio.sleep(0.3)  # there is no code to scan yet
                    _checked(answer)
                    while _checked(await client.get(f"/api/instances/{instance}"))["state"] != "connected":
                        await asyncio.sleep(0.3)

            async with asyncio.TaskGroup() as group:
                for number in numbers:
                    group.create_task(link(*number))

    def connected(self) -> int:
        """How many of the organization's instances are connected."""
        return len(self._connected())

    def instances(self, count: int) -> list[str]:
        """So many connected instances, the first one among them."""
        others = [one for one in self._connected() if one != self.instance]
        return [self.instance, *others[: count - 1]]

    def linked(self) -> list[tuple[str, str]]:
        """Each connected instance with its number."""
        return [(row["id"], row["phone"]) for row in self.rows() if row["state"] == "connected"]

    def _connected(self) -> list[str]:
        return [instance for instance, _ in self.linked()]

    def rows(self) -> list[dict[str, Any]]:
        """The organization's instances, as the API shows them."""
        page = self.api("GET", "/api/instances", params={"limit": 100})
        rows: list[dict[str, Any]] = page["results"]
        while page["next"]:
            page = self.api("GET", page["next"])
            rows += page["results"]
        return rows

    # --- messages ---------------------------------------------------------------------------

    def post(self, messages: int, connections: int) -> Posted:
        """POST so many messages as fast as they are accepted. Raises LoadError unless each answer is 202."""
        requests = [
            request_bytes(
                *(self.stack.address, "POST", "/api/messages", json.dumps(self._body(f"message {number}")).encode()),
                Authorization=f"Bearer {self.stack.key}",
            )
            for number in range(messages)
        ]
        done = load(self.stack.address, requests, connections=connections, status=202)
        return Posted(done, [json.loads(body)["id"] for body in done.bodies])

    def post_batches(self, batches: int, size: int, connections: int) -> Load:
        """POST so many batches of so many messages. Raises LoadError unless every message is accepted."""
        body = json.dumps({"messages": [self._body(f"message {number}") for number in range(size)]}).encode()
        request = request_bytes(
            *(self.stack.address, "POST", "/api/messages/batch", body), Authorization=f"Bearer {self.stack.key}"
        )
        done = load(self.stack.address, [request] * batches, connections=connections, status=202)
        for answer in done.bodies:
            if any(result["status"] != 202 for result in json.loads(answer)["results"]):
                raise LoadError(f"not all of a batch was accepted: {answer[:300]!r}")
        return done

    def post_over(self, instances: list[str], messages: int, batch: int) -> list[str]:
        """POST batches with messages of these instances in turn; returns their ids. Raises LoadError."""
        bodies = [self._body(f"message {n}", instances[n % len(instances)]) for n in range(messages)]
        ids: list[str] = []
        for start in range(0, messages, batch):
            answer = self.api("POST", "/api/messages/batch", json={"messages": bodies[start : start + batch]})
            if any(result["status"] != 202 for result in answer["results"]):
                raise LoadError(f"not all of a batch was accepted: {str(answer)[:300]}")
            ids += [result["message"]["id"] for result in answer["results"]]
        return ids

    def post_message(self, text: str, instance: str | None = None) -> str:
        """One message; its id."""
        return str(self.api("POST", "/api/messages", json=self._body(text, instance))["id"])

    def _body(self, text: str, instance: str | None = None) -> dict[str, Any]:
        return {"instance": instance or self.instance, "to": self.receiver, "type": "text", "text": {"body": text}}

    def status(self, message_id: str) -> str:
        """Raises LoadError when the message failed or is in doubt: then there is nothing to measure."""
        status = str(self.api("GET", f"/api/messages/{message_id}")["status"])
        if status in ("failed", "unconfirmed"):
            raise LoadError(f"message {message_id} is {status}")
        return status

    def wait_for_acknowledgements(self, ids: list[str]) -> float:
        """Wait until the server has acknowledged all; returns the moment (perf_counter), at most 0.1 s late.

        The newest is watched, since the lane sends in order; then every one is checked. Of many, some before it are
        watched first, and seldom, so that the questions take little processor time from what is measured.
        """
        ordered = sorted(ids)
        newest = ordered[-1]
        if len(ids) > _MANY:
            for share, every in ((0.5, 0.4), (0.8, 0.2)):
                one = ordered[int(share * len(ids))]
                wait_until(partial(self._is_acknowledged, one), "the acknowledgement of a message", every)
        wait_until(partial(self._is_acknowledged, newest), "the acknowledgement of the newest message")
        return self._check(ids, time.perf_counter())

    def wait_for_lanes(self, ids: list[str]) -> float:
        """The same for messages of several instances: until nothing is queued or being sent."""
        for status, every in (("queued", 0.3), ("sending", 0.1)):
            query = {"status": status, "limit": 1}
            wait_until(lambda q=query: not self.api("GET", "/api/messages", params=q)["results"], "the end", every)  # type: ignore[misc]
        return self._check(ids, time.perf_counter())

    def _check(self, ids: list[str], moment: float) -> float:
        """The moment if all are acknowledged; else the one at which the last of them is."""
        if waiting := set(ids) - self._acknowledged(set(ids)):
            wait_until(lambda: all(self.status(one) in _ACKNOWLEDGED for one in waiting), "the other acknowledgements")
            moment = time.perf_counter()
        return moment

    def _is_acknowledged(self, message_id: str) -> bool:
        return self.status(message_id) in _ACKNOWLEDGED

    def _acknowledged(self, ids: set[str]) -> set[str]:
        found: set[str] = set()
        oldest = min(ids)
        url: str | None = "/api/messages?limit=100"
        while url:
            page = self.api("GET", url)
            found |= {row["id"] for row in page["results"] if row["status"] in _ACKNOWLEDGED}
            url = page["next"] if page["results"][-1]["id"] > oldest else None
        return found & ids

    # --- processes --------------------------------------------------------------------------

    @contextmanager
    def silent_network(self) -> Iterator[None]:
        """The sandbox is stopped (SIGSTOP): connections stay open and nothing is answered."""
        pid = self.stack.kill("sandbox", signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def distant_network(self, seconds: float) -> Iterator[None]:
        """Every stanza of the sandbox takes so long, as if its server were far away."""
        self.control("faults", latency=seconds)
        try:
            yield
        finally:
            self.control("faults", latency=0)

    def restart_session_worker(self) -> float:
        """End it in order; the supervisor starts it anew. Returns the seconds until all numbers are back."""
        wanted, started = self.connected(), time.perf_counter()
        old = self.stack.kill(SESSIONS, signal.SIGTERM)
        self.stack.wait_for_restart(SESSIONS, old, seconds=60)
        # Both: an instance may still be called connected when its session is gone.
        wait_until(lambda: self.sessions() == wanted and self.connected() == wanted, "the numbers' return")
        return time.perf_counter() - started

    def sessions(self) -> int:
        """Linked devices that are connected to the network now."""
        accounts = self.control("state")["accounts"].values()
        return sum(device["connected"] for devices in accounts for number, device in devices.items() if number != "0")

    def shares(self) -> list[int]:
        """The numbers that each session worker holds, the fewest first."""
        answer = self._api.get("/metrics")
        families = text_string_to_metric_families(answer.raise_for_status().text)
        held = [sample.value for family in families for sample in family.samples if sample.name == _SHARE]
        return sorted(map(int, held))

    def cpu_seconds(self) -> dict[str, float]:
        """The processor time each process has used so far, those it started included."""
        return {name: _cpu(found["pid"]) for name, found in self.stack.processes().items() if found["pid"]}

    def memory(self, name: str = SESSIONS) -> tuple[float, int]:
        """RSS of a process in MB (2**20) when it has come to rest, and its threads."""
        pid = self.stack.processes()[name]["pid"]
        last, rest = _status(pid)["VmRSS"], 0
        for _ in range(20):
            time.sleep(0.5)
            now = _status(pid)["VmRSS"]
            rest = rest + 1 if abs(now - last) < 1024 else 0
            last = now
            if rest == 4:
                break
        return last / 1024, _status(pid)["Threads"]


def _status(pid: int) -> dict[str, int]:
    """The numbers of /proc/PID/status; sizes are kB."""
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(words.split()[0]) for name, words in lines if words.split() and words.split()[0].isdigit()}


def _cpu(pid: int) -> float:
    root = psutil.Process(pid)
    total = sum(root.cpu_times()[:4])  # of itself, and of children that have ended
    for child in root.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:2])
    return total


def _checked(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise LoadError(
            f"{answer.request.method} {answer.request.url} answered {answer.status_code}: {answer.text[:300]}"
        )
    return answer.json() if answer.content else None

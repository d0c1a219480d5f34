"""``python -m stack up``: start everything, wait until it is healthy, say how to use it, stop on Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from stack.first_message import commands
from stack.leftovers import end_leftovers
from stack.logs import last_lines
from stack.options import OptionError, Options, check_address
from stack.paths import Paths, UnsafeDirectoryError
from stack.program import Program, die_with
from stack.programs import Programs
from stack.services import Postgres, ServiceError, Valkey
from stack.supervisor import Process, Supervisor

HEALTHY_SECONDS = 90.0
SERVICE_SECONDS = 30.0


class StartError(Exception):
    """Something did not come up; the text is for the user."""


def main(argv: list[str]) -> int:
    """0 after a clean stop, 1 when something did not come up, 2 for a setting that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m stack up", description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="show what the processes print")
    arguments = parser.parse_args(argv)
    if parent := os.environ.pop("STACK_PARENT", ""):
        die_with(int(parent))
    try:
        options = Options.of()
        paths = Paths.of()
        paths.create()
        with _only_one(paths):
            check_address(options.host, options.port)
            end_leftovers(paths.run / "processes.json")
            try:
                return asyncio.run(Stack(options, paths, verbose=arguments.verbose).run())
            finally:
                paths.forget_sockets()
    except (OptionError, UnsafeDirectoryError) as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(f"VAR_DIR {Paths.of().var} cannot be used: {error}", file=sys.stderr)
    return 2


@contextlib.contextmanager
def _only_one(paths: Paths) -> Iterator[None]:
    with (paths.run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OptionError(f"It already runs with VAR_DIR {paths.var}: stop that one, or set VAR_DIR.") from None
        yield


@dataclass(frozen=True)
class Health:
    """An answer of /health: `status` 0 when nothing answered."""

    status: int
    parts: dict[str, dict[str, Any]]


class Stack:
    """One run of the product, from the first process to the last."""

    def __init__(self, options: Options, paths: Paths, *, verbose: bool) -> None:
        self.options, self.paths, self.verbose = options, paths, verbose
        self._environ = dict(os.environ)
        self._ready_file = paths.run / "ready.json"
        self._asked_to_stop = 0.0

    async def run(self) -> int:
        """Start, run until a signal, stop. Returns the exit code."""
        self._supervisor = Supervisor(self.paths, say=_say, verbose=self.verbose)
        self._ready_file.unlink(missing_ok=True)
        life = asyncio.create_task(self._live())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, life)
        code = 0
        try:
            await life
        except asyncio.CancelledError:
            _say("Stopping …")
        except (OptionError, StartError, ServiceError) as error:
            _say(str(error))
            code = 2 if isinstance(error, OptionError) else 1
        finally:
            self._ready_file.unlink(missing_ok=True)
            await self._supervisor.stop()
        return code

    def _on_signal(self, life: asyncio.Task[None]) -> None:
        # One Ctrl-C can arrive twice (from the terminal and from make); a second one is meant.
        now = time.monotonic()
        if self._asked_to_stop and now - self._asked_to_stop > 1:
            self._supervisor.hurry()
        self._asked_to_stop = self._asked_to_stop or now
        life.cancel()

    async def _live(self) -> None:
        started = time.monotonic()
        services = self._choose_services()
        self._clear_metrics()
        programs = Programs(self.options, self.paths, self._environ)
        self._start(programs.splitter())
        sandbox = self._start(programs.sandbox()) if self.options.session_workers else None
        for service in services:
            await self._start_service(service)
        seed = await self._prepare()
        for number in range(1, self.options.whatsapp_workers + 1):
            self._start(programs.sessions("whatsapp", number, lambda: {"NEONIZE_BOT_TAG": "off"}))
        for program in (programs.web(), programs.live(), programs.tasks(), programs.beat()):
            self._start(program)
        if sandbox:
            await self._wait_for_sandbox(sandbox)
            for number in range(1, self.options.session_workers + 1):
                self._start(programs.sessions("sandbox", number, programs.overlay_environ))
        await self._wait_for_health()
        self._announce(seed, time.monotonic() - started)
        await asyncio.Event().wait()

    def _choose_services(self) -> list[Valkey | Postgres]:
        """The embedded servers this run needs; their addresses go into the processes' environment."""
        services: list[Valkey | Postgres] = []
        if not self.options.redis_url:
            valkey = Valkey(self.paths)
            services.append(valkey)
            self._environ["REDIS_URL"] = valkey.url
        if self.options.embedded_postgres:
            postgres = Postgres(self.paths)
            services.append(postgres)
            self._environ["DATABASE_URL"] = postgres.url()
        elif not self.options.database_url:
            self._environ["DATABASE_URL"] = f"sqlite:///{self.paths.var / 'db.sqlite3'}"
        self._environ["VAR_DIR"] = str(self.paths.var)
        self._environ["RUN_DIR"] = str(self.paths.sockets)
        self._environ["PYTHONUNBUFFERED"] = "1"
        self._environ.setdefault("PUBLIC_URL", self.options.address)
        self._environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        return services

    def _clear_metrics(self) -> None:
        """An empty folder where the processes put what they count; those of an earlier run are gone."""
        folder = self.paths.sockets / "metrics"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)

    def _start(self, program: Program) -> Process:
        try:
            return self._supervisor.start(program)
        except (OSError, subprocess.SubprocessError) as error:
            raise StartError(f"{program.name} cannot be started: {error}") from error

    async def _start_service(self, service: Valkey | Postgres) -> None:
        process = self._start(service.program())
        if not await _until(service.is_ready, SERVICE_SECONDS, every=0.02):
            name = process.program.name
            variable = "REDIS_URL" if isinstance(service, Valkey) else "DATABASE_URL"
            raise StartError(
                f"The embedded {name} does not start here; set {variable} to a server of your own. Its last words:\n"
                + _indented(last_lines(process.log.path, 5))
            )

    async def _prepare(self) -> dict[str, Any]:
        program = Program(name="prepare", argv=[sys.executable, "-m", "stack.prepare"], environ=self._environ)
        log = self.paths.log / "prepare.log"
        with log.open("wb") as errors:
            process = program.start(stdout=subprocess.PIPE, stderr=errors)
        try:
            assert process.stdout is not None
            with process.stdout as output:
                os.set_blocking(output.fileno(), False)
                said = await _read_all(output.fileno())
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode == 2:
            raise OptionError(last_lines(log, 1)[-1])
        if process.returncode:
            raise StartError(f"The database cannot be used: {last_lines(log, 1)[-1]} (more in {log})")
        seed: dict[str, Any] = json.loads(said)
        return seed

    async def _wait_for_sandbox(self, process: Process) -> None:
        ready = self.paths.sandbox / "ready.json"

        def is_ready() -> bool:
            with contextlib.suppress(OSError, ValueError, KeyError):
                return bool(json.loads(ready.read_text())["pid"] == process.pid)
            return False

        if not await _until(is_ready, HEALTHY_SECONDS, every=0.05):
            raise StartError(
                "The sandbox does not start. Its last words:\n" + _indented(last_lines(process.log.path, 8))
            )

    async def _wait_for_health(self) -> None:
        deadline = time.monotonic() + HEALTHY_SECONDS
        while (health := await _health(self.options)).status != 200:
            if time.monotonic() > deadline:
                raise StartError(self._what_is_wrong(health))
            await asyncio.sleep(0.25)  # /health is limited by address like all that costs something

    def _what_is_wrong(self, health: Health) -> str:
        lines = [f"Not healthy after {HEALTHY_SECONDS:.0f} s (logs: {self.paths.log})."]
        if not health.parts:
            lines.append(f"{self.options.address}/health answered {health.status or 'nothing'}.")
        lines += [f"  {name}: {part.get('detail', '')}" for name, part in health.parts.items() if not part.get("ok")]
        for name, process in self._supervisor.processes.items():
            if process.restarts or not process.pid:
                lines += [
                    f"Last words of {name} ({process.restarts} restarts):",
                    _indented(last_lines(process.log.path, 8)),
                ]
        return "\n".join(lines)

    def _announce(self, seed: dict[str, Any], seconds: float) -> None:
        address = self.options.address
        facts = {"address": address, "pid": os.getpid()} | seed
        partial = self._ready_file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(facts, indent=1))
        partial.replace(self._ready_file)
        operator, organization = seed["operator"], seed["organization"]
        filled = commands(address=address, key=seed["key"], instance=seed["instance"], phones=seed["phones"])
        _say(
            f"\nReady after {seconds:.1f} s: {address}\n\n"
            f"  Operator      {address}/admin/  {operator['email']}  {operator['password']}\n"
            f"  Organization  {organization.get('name', organization.get('id', ''))}\n"
            f"  Test key      {seed['key']}\n\n"
            "Link a sandbox number, send a first message, see it arrive:\n\n"
            + "\n\n".join(filled)
            + "\n\nCtrl-C stops everything; the data stays.",
        )


async def _until(condition: Callable[[], bool], seconds: float, *, every: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(every)
    return True


async def _read_all(descriptor: int) -> bytes:
    """Everything written to a non-blocking pipe until its other end closes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    chunks: list[bytes] = []

    def read() -> None:
        if data := os.read(descriptor, 65536):
            chunks.append(data)
        elif not done.done():
            done.set_result(None)

    loop.add_reader(descriptor, read)
    try:
        await done
    finally:
        loop.remove_reader(descriptor)
    return b"".join(chunks)


async def _health(options: Options) -> Health:
    """One GET /health through the public address. Without a thread: children must be started by the only one."""
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(options.reachable_host, options.port)
            try:
                # HTTP/1.0: the body comes in one piece and ends with the connection.
                writer.write(f"GET /health HTTP/1.0\r\nHost: {options.netloc}\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        status = int(head.split(b" ", 2)[1])
        return Health(status, json.loads(body).get("parts", {}))
    except (OSError, ValueError, IndexError):
        return Health(0, {})


def _indented(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines) or "    (nothing)"


def _say(text: str) -> None:
    print(text, flush=True)

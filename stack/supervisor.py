"""Keeps programs running: restarts what dies, collects what they print, stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from itertools import groupby

from stack.logs import BoundedLog, last_lines
from stack.paths import Paths
from stack.program import Program

FIRST_DELAY, LONGEST_DELAY = 0.2, 10.0  # seconds before a restart, doubled at each early death
EARLY = 10.0  # a process that lived this long is restarted at once


class Process:
    """One supervised program and, while it lives, its process."""

    def __init__(self, program: Program, log: BoundedLog) -> None:
        self.program, self.log = program, log
        self.popen: subprocess.Popen[bytes] | None = None
        self.restarts = 0
        self.started_at = 0.0  # seconds since the epoch
        self.delay = 0.0
        self.half_line = b""
        self.revival: asyncio.TimerHandle | None = None
        self.ended = asyncio.Event()
        self.ended.set()

    @property
    def pid(self) -> int | None:
        return self.popen.pid if self.popen else None

    def next_delay(self, lived: float) -> float:
        """Seconds to wait before the restart of a process that lived for `lived` seconds."""
        self.delay = 0.0 if lived >= EARLY else min(max(self.delay * 2, FIRST_DELAY), LONGEST_DELAY)
        return self.delay

    def kill_group(self) -> None:
        # Children of a killed process (granian's workers) would live on and hold its socket.
        if self.popen:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, signal.SIGKILL)


class Supervisor:
    """Runs programs on the current event loop, which must be in the main thread.

    ``paths.run/processes.json`` holds ``{name: {"pid": int or null, "restarts": int, "started_at": epoch seconds}}``
    and is replaced at each change; ``pid`` is null while a process waits for its restart.
    """

    def __init__(self, paths: Paths, *, say: Callable[[str], None] = print, verbose: bool = False) -> None:
        self.paths, self.say, self.verbose = paths, say, verbose
        self.processes: dict[str, Process] = {}
        self._stopping = self._hurry = False
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def start(self, program: Program) -> Process:
        """Start `program` and keep it running. Raises OSError or subprocess.SubprocessError at this first start."""
        log = BoundedLog(self.paths.log / f"{program.name}.log")
        process = self.processes[program.name] = Process(program, log)
        self._spawn(process)
        return process

    def _spawn(self, process: Process) -> None:
        popen = process.program.start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process.popen, process.started_at = popen, time.time()
        process.ended.clear()
        assert popen.stdout is not None
        os.set_blocking(popen.stdout.fileno(), False)
        asyncio.get_running_loop().add_reader(popen.stdout.fileno(), self._read, process, popen)
        self._publish()

    def _read(self, process: Process, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdout is not None
        try:
            data = os.read(popen.stdout.fileno(), 65536)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(popen.stdout.fileno())
            return
        process.log.write(data)
        if self.verbose:
            *lines, process.half_line = (process.half_line + data).split(b"\n")
            for line in lines:
                self.say(f"{process.program.name}: {line.decode(errors='replace')}")

    def _reap(self) -> None:
        for process in self.processes.values():
            if process.popen and process.popen.poll() is not None:
                self._ended(process, process.popen)

    def _ended(self, process: Process, popen: subprocess.Popen[bytes]) -> None:
        process.kill_group()
        assert popen.stdout is not None
        self._read_rest(process, popen)
        asyncio.get_running_loop().remove_reader(popen.stdout.fileno())
        popen.stdout.close()
        process.popen = None
        process.ended.set()
        if not self._stopping:
            delay = process.next_delay(time.time() - process.started_at)
            loop = asyncio.get_running_loop()
            process.revival = loop.call_later(delay, self._revive, process, how_it_ended(popen.returncode))
        self._publish()

    def _read_rest(self, process: Process, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdout is not None
        with contextlib.suppress(BlockingIOError):
            while data := os.read(popen.stdout.fileno(), 65536):
                process.log.write(data)

    def _revive(self, process: Process, how: str) -> None:
        process.revival = None
        process.restarts += 1
        name = process.program.name
        try:
            self._spawn(process)
        except (OSError, subprocess.SubprocessError) as error:
            self.say(f"{name} {how} and cannot be restarted yet: {error}")
            delay = process.next_delay(0)
            process.revival = asyncio.get_running_loop().call_later(delay, self._revive, process, how)
            return
        last = "" if how.startswith("was killed") else "".join(last_lines(process.log.path, 1))
        self.say(f"{name} {how}, restarted as process {process.pid}" + (f" (it said: {last[:200]})" if last else ""))

    async def stop(self) -> None:
        """End all programs, lower ranks first; one that outlives its ``stop_seconds`` is killed."""
        self._stopping = True
        for process in self.processes.values():
            if process.revival:
                process.revival.cancel()
        by_rank = sorted(self.processes.values(), key=lambda process: process.program.stop_rank)
        for _, group in groupby(by_rank, key=lambda process: process.program.stop_rank):
            await self._stop_all(list(group))
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
        for process in by_rank:
            process.log.close()

    async def _stop_all(self, processes: Iterable[Process]) -> None:
        await asyncio.gather(*(self._stop_one(process) for process in processes))

    async def _stop_one(self, process: Process) -> None:
        if process.popen is None:
            return
        if not self._hurry:
            process.popen.send_signal(process.program.stop_signal)
            deadline = time.monotonic() + process.program.stop_seconds
            while not process.ended.is_set() and time.monotonic() < deadline and not self._hurry:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.ended.wait(), min(0.2, max(0.01, deadline - time.monotonic())))
        if not process.ended.is_set():
            self.say(f"{process.program.name} did not stop in time and is killed.")
            process.kill_group()
            await process.ended.wait()

    def hurry(self) -> None:
        """Kill what is still running instead of waiting for it."""
        self._hurry = True

    def _publish(self) -> None:
        state = {
            name: {"pid": process.pid, "restarts": process.restarts, "started_at": process.started_at}
            for name, process in self.processes.items()
        }
        target = self.paths.run / "processes.json"
        partial = target.with_suffix(".partial")
        partial.write_text(json.dumps(state, indent=1))
        partial.replace(target)


def how_it_ended(returncode: int) -> str:
    """A return code of Popen in words."""
    if returncode >= 0:
        return f"ended with code {returncode}"
    return f"was killed by {signal.Signals(-returncode).name}"

"""What a session worker uses of its machine, and when it has leaked too much of it."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path
from typing import NamedTuple

import psutil
from django.conf import settings

from instances.holding.fence import clock
from instances.whatsapp.databasestore import KeyDatabase

# What a number needs at most: its socket, its store with log and index, files under way; its threads and the library's.
_DESCRIPTORS_EACH, _THREADS_EACH = 10, 10
_DESCRIPTORS_OWN, _THREADS_OWN = 100, 60
_NEAR = 0.8  # of the descriptors that the system allows


class Load(NamedTuple):
    """Columns of a Worker; ``cpu`` in processors, since the reading before."""

    descriptors: int
    store_connections: int
    threads: int
    memory_bytes: int
    cpu: float


class Meter:
    """Reads the load of this process."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._read_at, self._cpu_seconds = clock(), self._seconds()

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def read(self) -> Load:
        now, seconds = clock(), self._seconds()
        cpu = (seconds - self._cpu_seconds) / max(0.001, now - self._read_at)
        self._read_at, self._cpu_seconds = now, seconds
        opened = _opened()
        stores = str(Path(settings.SESSION_STORE_DIR).resolve()) + os.sep
        connections = sum(name.startswith(stores) and name.endswith(".db") for name in opened)
        if ports := {address[1] for address in map(_address, settings.KEY_STORE_URLS.values()) if address}:
            connections += sum(
                bool(one.raddr) and one.raddr.port in ports for one in self._process.net_connections("tcp")
            )
        memory = int(self._process.memory_info().rss)
        return Load(len(opened), connections, self._process.num_threads(), memory, round(cpu, 3))


def _address(url: str) -> tuple[str, int] | None:
    return KeyDatabase(url).address if url else None


def _opened() -> list[str]:
    """What the descriptors of this process lead to; empty texts where nobody can tell."""
    folder, names = Path("/proc/self/fd"), []
    if not folder.is_dir():
        return [""] * threading.active_count()
    for entry in os.listdir(folder):
        try:
            names.append(os.readlink(folder / entry))
        except OSError:  # that of listing the folder, or closed meanwhile
            continue
    return names


def allow_descriptors() -> None:
    """Have the system allow this process as many descriptors as it may have: a number takes three to five."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def leaked(load: Load, numbers: int) -> str:
    """Why a worker with so many numbers should be replaced by a new process; an empty text when it should not."""
    limit = settings.SESSION_RECYCLE_HANDLES
    descriptors = load.descriptors - _DESCRIPTORS_OWN - numbers * _DESCRIPTORS_EACH
    threads = load.threads - _THREADS_OWN - numbers * _THREADS_EACH
    if descriptors > limit:
        return f"{descriptors} descriptors more than {numbers} numbers need"
    if threads > limit:
        return f"{threads} threads more than {numbers} numbers need"
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed != resource.RLIM_INFINITY and load.descriptors > _NEAR * allowed:
        return f"{load.descriptors} of {allowed} descriptors are open"
    return ""

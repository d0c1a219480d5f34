"""Ends what a killed supervisor may have left running, before a new one starts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import psutil

CLOCK_TOLERANCE = 2.0  # seconds between our note of a start and the kernel's
SECONDS = 15.0


def end_leftovers(processes_json: Path) -> None:
    """End the process groups noted in `processes_json` that still have members: SIGTERM, then SIGKILL.

    A group counts only if its members started after the noted time, so that a reused id hits nobody else.
    """
    try:
        noted = json.loads(processes_json.read_text()).values()
    except (FileNotFoundError, ValueError):
        return
    groups = {entry["pid"]: entry["started_at"] for entry in noted if entry["pid"]}
    deadline = time.monotonic() + SECONDS
    asked = False
    while members := _members(groups):
        late = time.monotonic() > deadline
        for process in members:
            if late or not asked:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL if late else signal.SIGTERM)
        asked = True
        time.sleep(0.05)
    processes_json.unlink()


def _members(groups: dict[int, float]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            since = groups.get(os.getpgid(process.pid))
            alive = process.status() != psutil.STATUS_ZOMBIE
            if since is not None and alive and process.create_time() >= since - CLOCK_TOLERANCE:
                found.append(process)
    return found

"""``python -m stack.both [PYTEST_ARGUMENT...]``: all tests, on SQLite and on PostgreSQL, at the same time.

Five runs share the machine: the apps' own tests and those of the whole product, with either database; those that kill
processes, most of them on PostgreSQL, are a run of their own there. Two of the product's are under way at a time, the
longest first; they mostly wait for processes, so the apps' get what they leave of the processor, one after the other.
Each run's output is shown when it has ended, and the last lines of those that failed once more at the end of all.
What does not touch the database runs once, with SQLite.

When no tests are chosen, a sixth run is five minutes of chaos: always the same troubles, at other moments each time.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from typing import IO

import pytest

PRODUCT = ["stack", "tests"]  # where those of the whole product are: to collect the others takes as long as some run
_QUEUES = (  # each with how many of its runs are side by side
    (2, [("kills", "postgres"), ("chaos", "postgres"), ("product", "postgres"), ("product,kills", "sqlite")]),
    (1, [("apps", "postgres"), ("apps", "sqlite")]),
)
_CHAOS = ["--seconds", "300", "--rate", "5", "--seed", "7"]
_NICE = ["nice", "-n", "4"]
_AT_ONCE = ["-n", "2", "--dist", "loadfile"]  # a file's fixtures are set up once
_REPEATED_LINES = 15
_FINE = {0: "passed", int(pytest.ExitCode.NO_TESTS_COLLECTED): "has none of these tests"}


def _command(part: str, stack: str, arguments: list[str], chosen: bool) -> list[str]:
    if part == "chaos":
        return [sys.executable, "-m", "chaos", *_CHAOS]
    run = [sys.executable, "-m", "pytest", f"--stack={stack}", f"--part={part}"]
    if part == "apps":
        return [*_NICE, *run, *_AT_ONCE, *arguments]
    return [*run, *arguments] if chosen else [*run, *arguments, *PRODUCT]


def main(arguments: list[str]) -> int:
    """The worst exit code of the runs. That a run has none of the chosen tests is an error if all have none."""
    chosen = any(not one.startswith("-") for one in arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the runs end with us
    print("Each run of tests is reported when it has ended.", flush=True)
    codes: dict[str, int] = {}
    ends: dict[str, str] = {}
    with contextlib.ExitStack() as until:
        lanes = []
        for side_by_side, runs in _QUEUES:
            queue = deque(run for run in runs if not (chosen and run[0] == "chaos"))
            lanes += [_lane(queue, arguments, chosen, codes, ends, until) for _ in range(side_by_side)]
        while lanes:
            lanes = [lane for lane in lanes if next(lane, False)]
            time.sleep(0.2)
    for name, end in sorted(ends.items()):
        print(f"\n##### the end of {name}", end, sep="\n")
    print(*(f"{name}: {_said(code)}" for name, code in sorted(codes.items())), sep="\n", flush=True)
    ran = [code for code in codes.values() if code != pytest.ExitCode.NO_TESTS_COLLECTED]
    return max(ran, key=abs, default=int(pytest.ExitCode.NO_TESTS_COLLECTED))


def _lane(
    queue: deque[tuple[str, str]],
    arguments: list[str],
    chosen: bool,
    codes: dict[str, int],
    ends: dict[str, str],
    until: contextlib.ExitStack,
) -> Iterator[bool]:
    """Do what is next in the queue until it is empty; yields True while something runs.

    Notes the exit codes, and the last lines of what failed.
    """
    while queue:
        part, stack = queue.popleft()
        name = f"{part} with {stack}"
        with tempfile.TemporaryFile() as output:
            popen = subprocess.Popen(_command(part, stack, arguments, chosen), stdout=output, stderr=subprocess.STDOUT)
            until.callback(_end, popen)
            while (code := popen.poll()) is None:
                yield True
            codes[name] = code
            _show(name, output)
            if code not in _FINE:
                output.seek(0)
                ends[name] = b"".join(deque(output, _REPEATED_LINES)).decode(errors="replace")


def _show(name: str, output: IO[bytes]) -> None:
    print(f"\n##### {name}", flush=True)
    output.seek(0)
    shutil.copyfileobj(output, sys.stdout.buffer)
    sys.stdout.flush()


def _said(code: int) -> str:
    return _FINE.get(code, f"FAILED ({code})")


def _end(popen: subprocess.Popen[bytes]) -> None:
    if popen.poll() is None:
        popen.terminate()
        popen.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

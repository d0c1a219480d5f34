"""``python -m stack.both [PYTEST_ARGUMENT...]``: the tests on SQLite and on PostgreSQL, at the same time.

Each run's output is shown whole when both have ended; one that failed comes last. What does not touch the
database runs once, with SQLite, unless the arguments choose tests.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile

ON_BOTH = (
    "config",
    "audit",
    "accounts",
    "subscriptions",
    "webhooks",
    "instances",
    "media",
    "messaging",
    "broadcasts",
    "phones",
    "tests",
)


def _command(stack: str, arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", f"--stack={stack}", *arguments]


def main(arguments: list[str]) -> int:
    """The worse exit code of the two."""
    paths = [] if any(not one.startswith("-") for one in arguments) else list(ON_BOTH)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the two end with us
    print("The tests run on SQLite and on PostgreSQL at once; both reports follow when they have ended.", flush=True)
    # What is made up from the description takes long and says the same on either.
    runs = {"sqlite": ["-m", "not fuzz", *arguments], "postgres": [*arguments, *paths]}
    with contextlib.ExitStack() as stack:
        started = []
        for name, chosen in runs.items():
            output = stack.enter_context(tempfile.TemporaryFile("w+"))
            popen = subprocess.Popen(_command(name, chosen), stdout=output, stderr=subprocess.STDOUT)
            stack.callback(_end, popen)
            started.append((popen, output))
        codes = [popen.wait() for popen, _ in started]
        for _, output in sorted(zip(codes, [output for _, output in started], strict=True), key=lambda run: run[0]):
            output.seek(0)
            shutil.copyfileobj(output, sys.stdout)
    return max(codes)


def _end(popen: subprocess.Popen[bytes]) -> None:
    if popen.poll() is None:
        popen.terminate()
        popen.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

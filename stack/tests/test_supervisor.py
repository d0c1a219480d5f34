from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from stack.leftovers import end_leftovers
from stack.logs import BoundedLog, last_lines
from stack.paths import PROJECT, Paths
from stack.program import Program
from stack.supervisor import EARLY, Process, Supervisor

FOREVER = "import signal, time\nwhile True: time.sleep(60)"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"
LAST_WORDS = """
import signal, sys, time
def end(*_):
    print("ended at", time.monotonic(), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True: time.sleep(60)
"""


def python(name: str, code: str, **options: Any) -> Program:
    return Program(name=name, argv=[sys.executable, "-c", code], **options)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def supervisor(paths: Paths, said: list[str]) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(paths, say=said.append)
    yield supervisor
    supervisor.hurry()
    await supervisor.stop()


def noted(paths: Paths) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((paths.run / "processes.json").read_text())
    return state


def log_of(paths: Paths, name: str) -> str:
    return "\n".join(last_lines(paths.log / f"{name}.log", 100))


async def test_a_killed_process_is_restarted_and_that_is_told_in_one_line(
    supervisor: Supervisor, paths: Paths, said: list[str]
):
    process = supervisor.start(python("web", FOREVER))
    old = process.pid
    assert noted(paths)["web"] == {"pid": old, "restarts": 0, "started_at": process.started_at}
    assert old is not None
    os.kill(old, signal.SIGKILL)
    await until(lambda: noted(paths)["web"]["pid"] not in (old, None))
    assert noted(paths)["web"]["restarts"] == 1
    assert said == [f"web was killed by SIGKILL, restarted as process {process.pid}"]


async def test_a_process_that_ends_by_itself_is_restarted_with_its_last_words(supervisor: Supervisor, said: list[str]):
    supervisor.start(python("web", "import sys; print('no database'); sys.exit(3)"))
    await until(lambda: said)
    assert said[0].startswith("web ended with code 3, restarted as process ")
    assert said[0].endswith("(it said: no database)")


async def test_children_of_a_killed_process_do_not_outlive_it(supervisor: Supervisor, paths: Paths):
    code = f"import subprocess, sys, time\np = subprocess.Popen([sys.executable, '-c', {FOREVER!r}])\nprint(p.pid)\n"
    process = supervisor.start(python("web", code + "sys.stdout.flush()\n" + FOREVER))
    await until(lambda: log_of(paths, "web"))
    child = int(log_of(paths, "web"))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    await until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_early_deaths_are_answered_ever_more_slowly_and_a_late_one_at_once(paths: Paths):
    with contextlib.closing(BoundedLog(paths.log / "x.log")) as log:

        async def delays() -> list[float]:
            process = Process(python("x", ""), log)
            return [process.next_delay(lived=1) for _ in range(8)] + [
                process.next_delay(EARLY + 1),
                process.next_delay(lived=1),
            ]

        assert asyncio.run(delays()) == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 0.0, 0.2]


async def test_a_program_that_cannot_be_started_again_is_tried_until_it_can(
    supervisor: Supervisor, tmp_path: Path, said: list[str]
):
    interpreter = tmp_path / "python"
    interpreter.symlink_to(sys.executable)
    process = supervisor.start(Program(name="web", argv=[str(interpreter), "-c", FOREVER]))
    interpreter.unlink()
    process.kill_group()
    await until(lambda: said)
    assert "cannot be restarted yet" in said[0]
    interpreter.symlink_to(sys.executable)
    await until(lambda: process.pid)


async def test_programs_stop_in_the_order_of_their_ranks(supervisor: Supervisor, paths: Paths):
    for name, rank in (("valkey", 3), ("web", 1), ("tasks", 2)):
        supervisor.start(python(name, LAST_WORDS, stop_rank=rank))
    await until(lambda: all("up" in log_of(paths, name) for name in ("valkey", "web", "tasks")))
    await supervisor.stop()
    ends = [float(log_of(paths, name).split()[-1]) for name in ("web", "tasks", "valkey")]
    assert ends == sorted(ends)
    assert {entry["pid"] for entry in noted(paths).values()} == {None}


async def test_what_does_not_stop_in_time_is_killed(supervisor: Supervisor, paths: Paths, said: list[str]):
    supervisor.start(python("web", STUBBORN, stop_seconds=0.1))
    await until(lambda: "up" in log_of(paths, "web"))
    await supervisor.stop()
    assert said == ["web did not stop in time and is killed."]


async def test_a_second_request_to_stop_kills_at_once(supervisor: Supervisor, paths: Paths):
    supervisor.start(python("web", STUBBORN, stop_seconds=60))
    await until(lambda: "up" in log_of(paths, "web"))
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    supervisor.hurry()
    async with asyncio.timeout(5):
        await stopping


async def test_the_environment_is_asked_for_at_each_start(supervisor: Supervisor, paths: Paths):
    values = iter(("first", "second"))
    code = "import os; print(os.environ['VALUE'], flush=True)\n" + FOREVER
    process = supervisor.start(python("web", code, late_environ=lambda: {"VALUE": next(values)}))
    await until(lambda: "first" in log_of(paths, "web"))
    process.kill_group()
    await until(lambda: "second" in log_of(paths, "web"))


async def test_what_a_process_prints_is_shown_only_when_asked_for(paths: Paths, said: list[str]):
    supervisor = Supervisor(paths, say=said.append, verbose=True)
    try:
        supervisor.start(
            python("web", "for part in ('on', 'e\\ntwo', '\\n'): print(part, end='', flush=True)\n" + FOREVER)
        )
        await until(lambda: said == ["web: one", "web: two"])
    finally:
        supervisor.hurry()
        await supervisor.stop()


async def test_a_group_of_its_own_keeps_the_terminals_signals_away(supervisor: Supervisor):
    process = supervisor.start(python("web", FOREVER))
    assert process.pid is not None
    assert os.getpgid(process.pid) == process.pid != os.getpgrp()


def test_a_log_never_grows_beyond_its_bound(tmp_path: Path):
    with contextlib.closing(BoundedLog(tmp_path / "web.log", limit=1000)) as log:
        for number in range(100):
            log.write(b"line %04d\n" % number * 5)
    sizes = [(tmp_path / name).stat().st_size for name in ("web.log", "web.log.1")]
    assert max(sizes) <= 1000
    assert last_lines(tmp_path / "web.log", 1) == ["line 0099"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["web.log", "web.log.1"]


def test_a_log_goes_on_where_it_ended(tmp_path: Path):
    for word in (b"one\n", b"two\n"):
        with contextlib.closing(BoundedLog(tmp_path / "web.log")) as log:
            log.write(word)
    assert last_lines(tmp_path / "web.log", 5) == ["one", "two"]


# --- a supervisor that is killed itself ------------------------------------------------------

RUN_ONE = """
import asyncio, sys
from stack.paths import Paths
from stack.program import Program
from stack.supervisor import Supervisor
async def run():
    Supervisor(Paths.of()).start(Program(name="web", argv=[sys.executable, "-c", sys.argv[1]]))
    await asyncio.Event().wait()
asyncio.run(run())
"""


async def killed_supervisor(paths: Paths, code: str) -> int:
    """Runs `code` below a supervisor, kills that; returns the pid of the process it had started."""
    environ = os.environ | {"VAR_DIR": str(paths.var)}
    with subprocess.Popen([sys.executable, "-c", RUN_ONE, code], cwd=PROJECT, env=environ) as parent:
        await until(lambda: "up" in log_of(paths, "web"))
        pid = noted(paths)["web"]["pid"]
        parent.kill()
        parent.wait()
    return int(pid)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells children of their parent's death")
async def test_the_programs_end_with_a_killed_supervisor(paths: Paths):
    pid = await killed_supervisor(paths, LAST_WORDS)
    await until(lambda: is_gone(pid))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells children of their parent's death")
async def test_what_ignored_that_is_ended_before_the_next_start(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stack.leftovers.SECONDS", 0.1)
    pid = await killed_supervisor(paths, STUBBORN)
    assert not is_gone(pid)
    end_leftovers(paths.run / "processes.json")
    assert is_gone(pid)


def test_a_process_that_merely_has_the_noted_id_is_left_alone(paths: Paths):
    with subprocess.Popen([sys.executable, "-c", FOREVER], process_group=0) as other:
        later = psutil.Process(other.pid).create_time() + 60
        file = paths.run / "processes.json"
        file.write_text(json.dumps({"web": {"pid": other.pid, "restarts": 0, "started_at": later}}))
        end_leftovers(file)
        assert other.poll() is None
        other.kill()

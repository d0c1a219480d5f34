from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from sandbox.state import VERSION, State


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def rows(state: State, kind: str = "kind") -> dict[str, int]:
    return dict(state.load(kind, int))


def test_what_was_flushed_is_there_and_the_file_is_private(path: Path) -> None:
    state = State(path)
    state.put("kind", "b", 1)
    state.put("kind", "a", 2)
    state.put("other", "a", 3)
    state.flush()
    assert path.stat().st_mode & 0o777 == 0o600
    state._db.close()  # as a kill does it
    again = State(path)
    assert list(again.load("kind", int)) == [("a", 2), ("b", 1)]
    assert rows(again, "other") == {"a": 3}
    again.close()


def test_the_last_change_counts_and_callables_are_asked_at_the_flush(state: State) -> None:
    value = [1]
    state.put("kind", "a", lambda: value[0])
    state.put("kind", "b", 1)
    state.delete("kind", "b")
    state.put("kind", "c", 1)
    state.put("kind", "c", 2)
    value[0] = 5
    state.flush()
    assert rows(state) == {"a": 5, "c": 2}
    state.delete("kind", "a")
    state.delete("kind", "never")
    state.flush()
    assert rows(state) == {"c": 2}


def test_a_flush_is_all_or_nothing(state: State) -> None:
    state.put("kind", "a", 1)
    state.flush()
    state.put("kind", "a", 2)
    state.put("kind", "b", object())
    with pytest.raises(TypeError):
        state.flush()
    assert rows(state) == {"a": 1}


def test_a_merge_loses_nothing_and_hinders_nobody(path: Path) -> None:
    state = State(path)
    number = 0
    while not state.should_merge:
        number += 1
        state.put("kind", str(number), number)
        state.flush()
    merging = threading.Thread(target=state.merge)
    merging.start()
    for more in range(1, 101):
        state.put("kind", str(number + more), number + more)
        state.flush()
    merging.join()
    assert not state.should_merge
    state._db.close()
    again = State(path)
    assert rows(again) == {str(n): n for n in range(1, number + 101)}
    again.close()


@pytest.mark.parametrize("damage", ["version", "garbage"])
def test_an_unusable_file_is_set_aside(path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    if damage == "version":
        state = State(path)
        state.put("kind", "a", 1)
        state.close()
        with sqlite3.connect(path) as db:
            db.execute(f"PRAGMA user_version = {VERSION + 1}")
        db.close()
    else:
        path.write_bytes(b"not a database" * 1000)
    fresh = State(path)
    assert rows(fresh) == {}
    assert "starting with an empty network" in caplog.text
    assert len(list(path.parent.glob("state.sqlite3.unusable-*"))) == 1
    fresh.put("kind", "a", 2)
    fresh.close()
    again = State(path)
    assert rows(again) == {"a": 2}
    again.close()

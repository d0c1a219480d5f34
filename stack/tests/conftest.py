from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.paths import Paths


@pytest.fixture
def var() -> Iterator[Path]:
    """An empty folder whose name is short enough for sockets, and has a space in it."""
    with tempfile.TemporaryDirectory(prefix="var ") as folder:
        yield Path(folder)


@pytest.fixture
def paths(var: Path) -> Paths:
    paths = Paths.of({"VAR_DIR": str(var)})
    paths.create()
    assert paths.sockets == paths.run
    return paths

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from phones import network


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real sandbox network in a process of its own; the value is its control socket."""
    folder: Path = tmp_path_factory.mktemp("s")
    control = folder / "c.sock"
    command = [sys.executable, "-m", "sandbox", "--port", "0", "--media-port", "0"]
    command += ["--cache", str(folder / "cache"), "--state", str(folder / "state"), "--control", str(control)]
    with subprocess.Popen(command, cwd=django_settings.BASE_DIR, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())
        yield str(control)
        network._client(str(control)).close()
        process.terminate()


@pytest.fixture
def sandbox(sandbox_process: str, settings: Settings) -> Callable[..., Any]:
    """The sandbox network is there; the value calls a method of its control API."""
    settings.SANDBOX_ENABLED, settings.SANDBOX_CONTROL = True, sandbox_process
    return network.call


@pytest.fixture
def away(tmp_path: Path, settings: Settings) -> None:
    """Nobody answers at the control socket."""
    settings.SANDBOX_ENABLED, settings.SANDBOX_CONTROL = True, str(tmp_path / "nobody.sock")

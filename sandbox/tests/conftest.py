from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.media import MediaStore
from sandbox.network import Network
from sandbox.state import State

from .calling import ALICE, BOB, CHARLIE, Caller
from .harness import ClientProcess, SandboxProcess


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Overlays and keys, shared by all sandboxes of the run."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def sandbox(tmp_path: Path, cache: Path) -> Iterator[SandboxProcess]:
    """A running sandbox of the test's own."""
    process = SandboxProcess(tmp_path, cache).start()
    yield process
    if process.process and process.process.poll() is None:
        process.stop()


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[SandboxProcess]:
    """One sandbox for the tests that use phone numbers of their own."""
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"), cache).start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def clients(shared_sandbox: SandboxProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientProcess]:
    """Real clients: "alice" and "bob" are linked to the phones ALICE and BOB of one realm."""
    process = ClientProcess(shared_sandbox, tmp_path_factory.mktemp("clients"))
    process.link("alice", "491700000001")
    process.link("bob", "491700000002")
    yield process
    process.close()


@pytest.fixture
def state() -> Iterator[State]:
    memory = State()
    yield memory
    memory.close()


@pytest.fixture
def network(state: State, cache: Path, tmp_path: Path) -> Network:
    """A network without sockets."""
    return Network(state, MediaStore(0, cache, tmp_path / "media", "token"))


@pytest.fixture
async def call(network: Network) -> Caller:
    """Alice and Bob have phones in one realm, Charlie in another."""
    caller = Caller(network)
    await caller("create_phone", phone=ALICE, name="Alice", realm="one")
    await caller("create_phone", phone=BOB, name="Bob", realm="one")
    await caller("create_phone", phone=CHARLIE, name="Charlie", realm="two")
    return caller

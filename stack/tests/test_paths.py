from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from stack.paths import SOCKET_BYTES, Paths, UnsafeDirectoryError


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A VAR_DIR too deep for sockets, with a temporary directory of its own beside it."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return Paths.of({"VAR_DIR": str(tmp_path / ("deep" * 25))})


def test_the_folders_are_made_below_var_dir_and_private(var: Path):
    paths = Paths.of({"VAR_DIR": str(var / "var")})
    paths.create()
    paths.create()
    for folder in (paths.run, paths.log, paths.mail, paths.valkey, paths.sandbox):
        assert folder.parent == var / "var"
        assert folder.stat().st_mode & 0o777 == 0o700


def test_sockets_are_in_run_when_their_names_fit():
    paths = Paths.of({"VAR_DIR": "/short"})
    assert paths.sockets == paths.run == Path("/short/run")


def test_sockets_of_a_deep_folder_are_in_a_private_one_always_the_same(deep: Paths):
    deep.create()
    assert deep.sockets != deep.run
    assert deep.sockets.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(deep.sockets.name + "/postgres/.s.PGSQL.5432")) + len("/tmp/") < SOCKET_BYTES
    assert Paths.of({"VAR_DIR": str(deep.var)}) == deep
    assert Paths.of({"VAR_DIR": str(deep.var) + "2"}).sockets != deep.sockets


def test_a_socket_folder_outside_goes_when_all_has_ended(deep: Paths):
    deep.create()
    deep.forget_sockets()
    assert not deep.sockets.exists()
    assert deep.run.exists()


def test_a_socket_folder_others_may_write_to_is_refused(deep: Paths):
    deep.sockets.mkdir()
    deep.sockets.chmod(0o777)
    with pytest.raises(UnsafeDirectoryError):
        deep.create()


def test_a_socket_folder_that_is_a_link_is_refused(deep: Paths, tmp_path: Path):
    deep.sockets.symlink_to(tmp_path)
    with pytest.raises(UnsafeDirectoryError):
        deep.create()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_socket_folder_of_somebody_else_is_refused(deep: Paths):
    deep.sockets.mkdir(mode=0o700)
    os.chown(deep.sockets, 65534, 65534)
    with pytest.raises(UnsafeDirectoryError):
        deep.create()

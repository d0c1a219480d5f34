"""Where everything that runs keeps its files: all of it below VAR_DIR, sockets excepted when that lies too deep."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
# The kernel takes 107 bytes (103 on macOS) for a socket's path; the longest name below is PostgreSQL's.
SOCKET_BYTES = 103
LONGEST_SOCKET = "postgres/.s.PGSQL.5432"


class UnsafeDirectoryError(Exception):
    """A directory that must be ours alone belongs to, or may be changed by, somebody else."""


@dataclass(frozen=True)
class Paths:
    """The folders of one installation. ``sockets`` equals ``run`` unless that is too deep for a socket."""

    var: Path
    sockets: Path

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Paths:
        """The paths for VAR_DIR (default: ``var`` in the project). Creates nothing."""
        var = Path(environ.get("VAR_DIR") or PROJECT / "var").resolve()
        run = var / "run"
        if len(os.fsencode(run / LONGEST_SOCKET)) <= SOCKET_BYTES:
            return cls(var, run)
        digest = hashlib.sha256(os.fsencode(var)).hexdigest()[:12]
        return cls(var, Path(tempfile.gettempdir()) / f"whatsapp-api-{os.geteuid()}-{digest}")

    @property
    def run(self) -> Path:
        return self.var / "run"

    @property
    def log(self) -> Path:
        return self.var / "log"

    @property
    def valkey(self) -> Path:
        return self.var / "valkey"

    @property
    def postgres(self) -> Path:
        return self.var / "postgres"

    @property
    def sandbox(self) -> Path:
        return self.var / "sandbox"

    @property
    def mail(self) -> Path:
        return self.var / "mail"

    def create(self) -> None:
        """Make the folders, private to this user. Raises OSError, or UnsafeDirectoryError for ``sockets``."""
        self.var.mkdir(parents=True, exist_ok=True)
        for folder in (self.run, self.log, self.mail, self.valkey, self.sandbox):
            folder.mkdir(mode=0o700, exist_ok=True)
        if self.sockets != self.run:
            self.sockets.mkdir(mode=0o700, exist_ok=True)
            _require_private(self.sockets)

    def forget_sockets(self) -> None:
        """Remove what ``create`` made outside of ``var``; call it when nothing runs any more."""
        if self.sockets != self.run:
            shutil.rmtree(self.sockets, ignore_errors=True)


def _require_private(folder: Path) -> None:
    """In a folder that everybody may write to, somebody else could have made `folder` first."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o066:
        raise UnsafeDirectoryError(f"{folder} is not a private directory of this user; remove it or set VAR_DIR.")

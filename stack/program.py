"""A program to start: what, with which environment, and how it ends."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from stack.paths import PROJECT

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_NOBODY = 65534
# Loaded before any fork: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Identity:
    """As whom a program runs: as ourselves (the default), as uid `namespace` of a user namespace, or as `user`."""

    namespace: int | None = None
    user: int | None = None


OURSELVES = Identity()


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process of the stack.

    ``before_start`` runs before every start (leftover sockets). ``late_environ`` is asked at every start
    and laid over ``environ``. On stop ``stop_signal`` goes to the process itself, and SIGKILL to its whole
    process group ``stop_seconds`` later; programs of a lower ``stop_rank`` stop first.
    """

    name: str
    argv: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    late_environ: Callable[[], Mapping[str, str]] | None = None
    before_start: Callable[[], None] | None = None
    identity: Identity = OURSELVES
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    stop_rank: int = 0

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own; it gets its stop signal when the calling *thread* ends.

        Call it from the main thread. `options` go to Popen. Raises OSError or subprocess.SubprocessError.
        """
        if self.before_start:
            self.before_start()
        environ = {**self.environ, **(self.late_environ() if self.late_environ else {})}
        options = {"cwd": PROJECT} | identity_options(self.identity, self.stop_signal) | options
        return cast(
            "subprocess.Popen[bytes]",
            subprocess.Popen(list(self.argv), env=environ, stdin=subprocess.DEVNULL, process_group=0, **options),
        )


def identity_options(identity: Identity, death_signal: signal.Signals = signal.SIGTERM) -> dict[str, Any]:
    """Popen's options for running as `identity` and dying with the parent."""
    parent = os.getpid()
    maps = {"uid_map": os.geteuid(), "gid_map": os.getegid()}

    def in_child() -> None:
        # The kernel forgets the death signal when the identity changes, so it is set last.
        if identity.namespace is not None:
            _enter_user_namespace(identity.namespace, maps)
        _die_with_parent(death_signal, parent)

    options: dict[str, Any] = {"preexec_fn": in_child}
    if identity.user is not None:
        options |= {"user": identity.user, "group": identity.user, "extra_groups": [], "cwd": "/"}
    return options


def _enter_user_namespace(inside: int, maps: Mapping[str, int]) -> None:
    """Become the user `inside`, who to the file system is the same as before."""
    if _libc.unshare(_CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (("setgroups", "deny"), *((name, f"{inside} {outside} 1") for name, outside in maps.items())):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def _die_with_parent(death_signal: int, parent: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), death_signal)


def die_with(parent: int) -> None:
    """Have this process get SIGTERM when `parent`, which must be its parent, ends (Linux only)."""
    _die_with_parent(signal.SIGTERM, parent)


def unprivileged_identity(command: Sequence[str]) -> Identity:
    """An identity under which `command` runs, is not root, and has a name. Raises RuntimeError when there is none."""
    names = {user.pw_uid for user in pwd.getpwall()}
    if os.geteuid() in names - {0}:
        return OURSELVES
    named = [] if names <= {0} else [Identity(namespace=max(names & {_NOBODY} or names))]
    others = [Identity(user=_NOBODY)] if os.geteuid() == 0 else []
    reasons = []
    for identity in (*named, *others):
        try:
            subprocess.run(
                list(command), check=True, capture_output=True, stdin=subprocess.DEVNULL, **identity_options(identity)
            )
        except (OSError, subprocess.SubprocessError) as error:
            reasons.append(str(error))
        else:
            return identity
    raise RuntimeError(
        "PostgreSQL runs neither as root nor as a user without a name, and neither a user namespace nor another user "
        f"works here ({'; '.join(reasons)}). Start as an ordinary user, or set DATABASE_URL to a server of your own."
    )

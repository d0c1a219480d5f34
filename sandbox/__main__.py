"""The command line.

python -m sandbox                        run until interrupted; prints one line of JSON when ready
python -m sandbox -- COMMAND [ARG...]    run a command against the sandbox, then stop
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from .overlay import OverlayError
from .server import SandboxServer, StartError
from .session import Session
from .wire import Node


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description="A simulated WhatsApp network on loopback, for neonize."
    )
    folder = Path("var/sandbox")
    parser.add_argument("--port", type=int, default=28180, help="of the WebSocket; 0: any (default %(default)s)")
    parser.add_argument(
        "--media-port", type=int, default=28443, help="of the media store; 0: any (default %(default)s)"
    )
    parser.add_argument("--cache", type=Path, default=folder / "cache", help="overlays and keys (default %(default)s)")
    parser.add_argument("--state", type=Path, default=folder / "state", help="what survives (default %(default)s)")
    parser.add_argument("--control", type=Path, help="Unix socket of the control API (default STATE/control.sock)")
    parser.add_argument("--trace", action="store_true", help="print every stanza to stderr")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="program to run against the sandbox")
    return parser.parse_args()


def _trace(arrow: str, session: Session, stanza: Node) -> None:
    print(arrow, session.device or "-", stanza, file=sys.stderr, flush=True)


def _child_env(sandbox: Mapping[str, str], control: Path) -> dict[str, str]:
    own = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(filter(None, (sandbox["PYTHONPATH"], own)))
    return {**os.environ, **sandbox, "PYTHONPATH": path, "SANDBOX_CONTROL": str(control)}


async def _run(args: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = SandboxServer(
        args.port, args.media_port, args.cache, args.state, args.control or args.state / "control.sock"
    )
    try:
        await server.start()
        if args.trace:
            server.network.trace = _trace
        if not args.command:
            print(json.dumps(server.ready()), flush=True)
            await stop.wait()
            return 0
        return await _run_command(args.command, _child_env(server.env, server.control_path), stop)
    except (StartError, OverlayError) as e:
        print(f"sandbox: {e}", file=sys.stderr, flush=True)
        return 2
    finally:
        await server.stop()


async def _run_command(command: list[str], env: dict[str, str], stop: asyncio.Event) -> int:
    """The command's exit code, after it ended by itself or was told to."""
    try:
        child = await asyncio.create_subprocess_exec(*command, env=env)
    except OSError as e:
        raise StartError(f"cannot run {command[0]}: {e.strerror}") from e
    stopped, ended = asyncio.create_task(stop.wait()), asyncio.create_task(child.wait())
    await asyncio.wait([stopped, ended], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if child.returncode is None:
        child.terminate()
    status = await ended
    return status if status >= 0 else 128 - status


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    return asyncio.run(_run(_parse()))


if __name__ == "__main__":
    sys.exit(main())

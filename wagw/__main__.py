from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from wagw import acts, listen
from wagw.client import CommandError, Settings

ADDRESS = "http://127.0.0.1:8000"
_TRIGGER = f"""Makes an event of this type happen.

Really, in the sandbox: message.received (a virtual phone writes to the instance), and
{", ".join(acts.MESSAGES)}
(the instance writes to a virtual phone, which reads it for the last).

All other types: a test event goes to every enabled webhook endpoint and to nobody else; it is
webhook.test where the product has no example of the type. Nothing happens to any instance."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wagw", description="Listens to, sends through and tries out a running WhatsApp API."
    )
    parser.add_argument("--url", default=os.environ.get("WAGW_URL", ADDRESS), help=f"or WAGW_URL (default {ADDRESS})")
    parser.add_argument("--key", default=os.environ.get("WAGW_KEY"), help="an API key, or WAGW_KEY")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    one = commands.add_parser("listen", help="forward events to a server of yours as signed webhooks")
    one.add_argument("--forward-to", required=True, type=_web, metavar="URL")
    one.add_argument("--secret", metavar="whsec_…", help="signs; without it a new one is made and printed")
    one.add_argument(
        "--state", type=Path, metavar="FILE", help="remember there what was forwarded, to go on after a restart"
    )
    _filters(one)
    one.set_defaults(run=listen.listen)

    one = commands.add_parser("tail", help="print events as they come")
    one.add_argument("--json", action="store_true", help="one JSON object a line")
    _filters(one)
    one.set_defaults(run=listen.tail)

    one = commands.add_parser(
        "trigger", help="make an event happen", description=_TRIGGER, formatter_class=argparse.RawTextHelpFormatter
    )
    one.add_argument("type", metavar="TYPE")
    one.add_argument("--instance", help="without it, the only connected one")
    one.set_defaults(run=acts.trigger)

    one = commands.add_parser("resend", help="have a delivery made again")
    one.add_argument("delivery", metavar="DELIVERY", help="dlv_…")
    one.set_defaults(run=acts.resend)

    one = commands.add_parser("send", help="send a message and print it")
    one.add_argument("text", nargs="?", metavar="TEXT", help="the text, or the caption of a file")
    one.add_argument("--instance", help="without it, the only connected one")
    one.add_argument("--to", required=True, help="a phone number or a WhatsApp id")
    one.add_argument("--type", default="text", help="such as image (default text)")
    one.add_argument("--file", type=Path, help="what the message is of; uploaded first")
    one.add_argument("--json", metavar="OBJECT", help="what the API wants for the type, as JSON")
    one.add_argument(
        "--wait", type=float, nargs="?", const=30.0, metavar="SECONDS", help="until it has left (default 30)"
    )
    one.set_defaults(run=acts.send)
    return parser


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--types", help="such as message.*,instance.state")
    parser.add_argument("--instances", help="ids, with commas between them")
    parser.add_argument("--after", default="latest", metavar="CURSOR", help="begin there; '' is the oldest event kept")


def _web(text: str) -> str:
    if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http or https address")
    return text


async def _run(arguments: argparse.Namespace) -> None:
    """Until the command has ended, or SIGINT or SIGTERM came."""
    running = asyncio.ensure_future(arguments.run(Settings(arguments.url, arguments.key), arguments))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all went well or was ended by a signal, 1 when something failed, 2 when something was given wrong."""
    arguments = _parser().parse_args(argv)
    try:
        if not arguments.key:
            raise CommandError("give an API key with --key or WAGW_KEY", 2)
        _web(arguments.url)
        asyncio.run(_run(arguments))
    except argparse.ArgumentTypeError as error:
        print(f"wagw: --url: {error}", file=sys.stderr)
        return 2
    except CommandError as error:
        print(f"wagw: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())

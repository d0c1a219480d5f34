"""``python -m stack.with_overlay READY_JSON COMMAND…``: run a command against the sandbox that wrote READY_JSON.

For session workers started without ``make up``, which arranges this itself. Waits for the file.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

WAIT_SECONDS = 60.0


def overlay_environ(ready: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What makes neonize, and us, speak to the sandbox instead of WhatsApp.

    Raises OSError, ValueError or KeyError before the sandbox is ready.
    """
    overlay = json.loads(ready.read_text())["env"]
    path = [overlay["PYTHONPATH"], environ.get("PYTHONPATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "SSL_CERT_FILE": overlay["SSL_CERT_FILE"],
        "WHATSAPP_MEDIA_HOST": overlay["WHATSAPP_MEDIA_HOST"],
        "NEONIZE_BOT_TAG": "off",
    }


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit("usage: python -m stack.with_overlay READY_JSON COMMAND…")
    ready, command = Path(sys.argv[1]), sys.argv[2:]
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            overlay = overlay_environ(ready, os.environ)
        except (OSError, ValueError, KeyError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"{ready}: no sandbox after {WAIT_SECONDS:.0f} s: {error}")
            time.sleep(0.2)
        else:
            os.execvpe(command[0], command, os.environ | overlay)  # noqa: S606 (our own command line)


if __name__ == "__main__":
    main()

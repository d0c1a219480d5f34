"""Has the client library make or upgrade the tables of a store: ``python -m instances.whatsapp.keytables``.

Reads the store's name from its standard input, since it may hold a password; writes what went wrong, or nothing. A
process of its own, because the library never closes a database again.
"""

from __future__ import annotations

import os
import sys

from instances.whatsapp import library


def main() -> None:
    log = library.func_callback_bytes2(lambda pointer, size: None)
    # To list the devices is the only thing that it does with a store without connecting; the list is of no interest.
    answer = library.gocode.GetAllDevices(sys.stdin.read().encode(), log)
    text = (answer or b"").decode(errors="replace")
    if text.startswith("error: "):
        print(text.removeprefix("error: "), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()

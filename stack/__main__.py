"""``python -m stack up [--verbose]`` and ``python -m stack listen``."""

from __future__ import annotations

import os
import sys


def main() -> int:
    from stack.options import check_python

    if sys.argv[1:2] not in (["up"], ["listen"]):
        print("usage: python -m stack up [--verbose] | listen", file=sys.stderr)
        return 2
    if problems := check_python():
        print("\n".join(problems), file=sys.stderr)
        return 2
    import environ

    from stack.paths import PROJECT

    environ.Env.read_env(os.environ.get("ENV_FILE") or PROJECT / ".env")
    if sys.argv[1] == "listen":
        from stack.listen import main as run
    else:
        from stack.up import main as run
    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

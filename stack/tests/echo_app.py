"""What the splitter's tests serve with the real granian: it tells what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    path = environ["PATH_INFO"]
    if path.startswith("/big/"):
        answer = b"x" * int(path.removeprefix("/big/"))
    else:
        forwarded = {name: value for name, value in environ.items() if "FORWARDED" in name or "REAL" in name}
        answer = json.dumps({"path": path, "forwarded": forwarded, "length": len(body)}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]

"""The throw-away process: reads a Job from its standard input, writes what it made of it, and ends.

Before it looks at the file it gives up what it could do harm with: its limits cannot be raised again, it ends with
its parent, and where the machine allows it, it has no network.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from typing import Any

from media.converting.job import Job, Made, Refused

MEMORY_BYTES, CPU_SECONDS, OPEN_FILES = 2 << 30, 170, 64
_TARGET_BYTES = 256 << 20
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


def _limit() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, _TARGET_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    os.nice(5)
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux":
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # refused in some containers: then the limits must do


def _make(job: Job) -> Made:
    from media.converting import film, images, sound

    if job.kind == "sticker":
        return (images if job.mime_type.startswith("image/") else film).sticker(job)
    makers = {
        "image": images.image,
        "video": film.video,
        "gif": film.gif,
        "round": film.round_,
        "audio": sound.audio,
        "voice": sound.voice,
    }
    return makers[job.kind](job)


def _answer(job: Job) -> dict[str, Any]:
    try:
        made = _make(job)
    except Refused as refusal:
        return {"code": refusal.code, "detail": refusal.detail}
    except MemoryError:
        return {"code": "media_too_large", "detail": "To read it takes more memory than is allowed."}
    except Exception as error:
        return {"code": "media_unreadable", "detail": f"It cannot be read: {type(error).__name__}."}
    words = asdict(made)
    for name in ("thumbnail", "waveform"):
        words[name] = base64.b64encode(words[name]).decode()
    return words


def main() -> None:
    _limit()
    job = Job(**json.load(sys.stdin))
    out = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    os.write(out, json.dumps(_answer(job)).encode())
    os._exit(0)  # whatever the libraries would do at the end


main()

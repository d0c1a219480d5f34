"""The throw-away process: reads a Job from its standard input, writes what it made of it, and ends.

Before it looks at the file it gives up what it could do harm with: its limits cannot be raised again, it ends with
its parent, and where the machine allows it, it has no network.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from media.converting import limits
from media.converting.job import Job, Made, Refused


def _make(job: Job) -> Made:
    from media.converting import film, images, sound

    if job.kind == "sticker":
        return (images if job.mime_type.startswith("image/") else film).sticker(job)
    makers = {
        "image": images.image,
        "profile_picture": images.profile_picture,
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
    limits.apply()
    job = Job(**json.load(sys.stdin))
    out = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    os.write(out, json.dumps(_answer(job)).encode())
    os._exit(0)  # whatever the libraries would do at the end


main()

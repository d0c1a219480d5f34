"""Making files ready to be sent as a kind: the part of the task worker, which starts a throw-away process for it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from config.api.problems import Problem
from media import services, storing
from media.converting.job import Job, Made, Refused
from media.kinds import RULES
from media.models import Kind, Rendition, Status
from media.worklist import Worklist

log = structlog.get_logger(__name__)
SECONDS = 180  # for one file; the process's own limit of CPU time is a little below
MAX_ATTEMPTS = 3
_LEASE = timedelta(seconds=SECONDS + 60)
_MOST_ANSWERED = 200_000  # bytes
_MOST_THUMBNAIL, _WAVEFORM = 32_768, 64


def due() -> QuerySet[Rendition]:
    preparing = Rendition.objects.filter(status=Rendition.Status.PREPARING, media__status=Status.STORED)
    return preparing.select_related("media")


def make(rendition: Rendition) -> None:
    """Make a claimed rendition ready, or note why it cannot be."""
    media = rendition.media
    try:
        if rendition.attempts > MAX_ATTEMPTS:
            raise Refused("media_unreadable", "It was tried several times, and each time the process was lost.")
        if refusal := services.refusal_of(media, rendition.kind):
            raise Refused(*refusal)
        if rendition.kind == Kind.DOCUMENT:
            _finish(rendition, Made(media.mime_type, False), None)
            return
        with storing.workplace() as folder, storing.on_disk(media.file, folder) as source:
            target = folder / "made"
            job = Job(rendition.kind, media.mime_type, str(source), str(target), RULES[rendition.kind].most_sent)
            made = convert(job, folder)
            _finish(rendition, made, target if made.converted else None)
    except Refused as refused:
        _settle(rendition, Rendition.Status.FAILED, error_code=refused.code, error_detail=refused.detail[:500])
    except FileNotFoundError:
        _settle(rendition, Rendition.Status.FAILED, error_code="media_lost", error_detail="The file is gone.")
    except Problem as problem:
        _settle(rendition, Rendition.Status.FAILED, error_code=problem.code, error_detail=problem.detail)


def convert(job: Job, folder: Path, seconds: float = SECONDS) -> Made:
    """Have a process of its own do a job; what it answers is checked, as a file may rule it. Raises Refused."""
    argv = [sys.executable, "-s", "-m", "media.converting"]
    environ = {"TMPDIR": str(folder), "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            argv,
            check=False,
            input=json.dumps(asdict(job)).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=settings.BASE_DIR,
            env=environ,
            timeout=seconds,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise Refused("media_timeout", f"To convert it takes longer than {seconds:.0f} seconds.") from error
    if done.returncode == 0 and len(done.stdout) <= _MOST_ANSWERED:
        answer = json.loads(done.stdout)
        if "code" in answer:
            raise Refused(str(answer["code"])[:40], str(answer["detail"])[:500])
        return _checked(answer)
    log.info("conversion_ended", code=done.returncode, kind=job.kind, mime_type=job.mime_type)
    if -done.returncode in _OUT_OF_TIME:
        raise Refused("media_timeout", "To convert it takes too long.")
    raise Refused("media_unreadable", "The file broke the program that was to read it.")


_OUT_OF_TIME = (9, 24)  # SIGKILL and SIGXCPU: how the limit of CPU time ends a process


def _checked(answer: dict[str, Any]) -> Made:
    thumbnail, waveform = base64.b64decode(answer["thumbnail"]), base64.b64decode(answer["waveform"])
    made = Made(
        str(answer["mime_type"])[:100],
        bool(answer["converted"]),
        None if answer["seconds"] is None else float(answer["seconds"]),
        None if answer["width"] is None else int(answer["width"]),
        None if answer["height"] is None else int(answer["height"]),
        thumbnail if len(thumbnail) <= _MOST_THUMBNAIL and thumbnail.startswith(b"\xff\xd8\xff") else b"",
        waveform if len(waveform) == _WAVEFORM and max(waveform) <= 100 else b"",
    )
    if not 0 <= (made.seconds or 0) < 10**6 or not all(0 < (n or 1) < 10**5 for n in (made.width, made.height)):
        raise Refused("media_unreadable", "The file has no sensible measures.")
    return made


def _finish(rendition: Rendition, made: Made, target: Path | None) -> None:
    media, rule = rendition.media, RULES[rendition.kind]
    size = target.stat().st_size if target else media.size or 0
    if not 0 < size <= rule.most_sent:
        raise Refused("media_too_large", f"As {rendition.kind} it would have {size} bytes, more than {rule.most_sent}.")
    columns: dict[str, Any] = {
        "mime_type": made.mime_type,
        "size": size,
        "seconds": made.seconds,
        "width": made.width,
        "height": made.height,
        "thumbnail": made.thumbnail or None,
        "waveform": made.waveform or None,
    }
    if target is None:
        _settle(rendition, Rendition.Status.READY, **columns)
        return
    storing.check_room(media.organization_id, size)
    with storing.OnDisk(target.open("rb")) as content:
        key = storing.keep(media.organization_id, content)
    with transaction.atomic():
        storing.claim(key, media.organization_id, size)
        _settle(rendition, Rendition.Status.READY, file=key, **columns)


@transaction.atomic
def _settle(rendition: Rendition, status: str, **columns: Any) -> None:
    mine = Rendition.objects.filter(pk=rendition.pk, status=Rendition.Status.PREPARING, due_at=rendition.due_at)
    if not mine.update(status=status, **columns):
        raise RuntimeError("the claim on the rendition was lost")
    for name, value in {"status": status, **columns}.items():
        setattr(rendition, name, value)
    services.tell_prepared(rendition)


def worklist() -> Worklist[Rendition]:
    places = settings.MEDIA_CONVERSIONS
    return Worklist("convert", places, _LEASE, due, "media__organization_id", make)

"""Opening containers so that nothing but the one file can be reached through them."""

from __future__ import annotations

from typing import Any

import av

from media.converting.job import Job, Refused

# By name, and never by probing: playlists and the like would lead the library to other files and addresses.
_DEMUXERS = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/3gpp": "mov",
    "audio/mp4": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "audio/webm": "matroska",
    "video/x-msvideo": "avi",
    "video/mpeg": "mpeg",
    "video/mp2t": "mpegts",
    "video/ogg": "ogg",
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "image/gif": "gif",
}


def open_source(job: Job) -> Any:
    """The container of the job's source. Raises Refused."""
    demuxer = _DEMUXERS.get(job.mime_type)
    if demuxer is None:
        raise Refused("media_type_not_allowed", f"{job.mime_type} cannot be converted.")
    options = {"protocol_whitelist": "file", "format_whitelist": demuxer_names(demuxer)}
    return av.open(job.source, format=demuxer, options=options)


def demuxer_names(demuxer: str) -> str:
    return "mov,mp4,m4a,3gp,3g2,mj2" if demuxer == "mov" else "matroska,webm" if demuxer == "matroska" else demuxer


def seconds_of(source: Any) -> float | None:
    """The length that the container tells, None if it tells none."""
    if source.duration and source.duration > 0:
        return float(source.duration / av.time_base)
    return None

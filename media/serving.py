"""Giving files out so that a browser does no harm with them, whatever they hold."""

from __future__ import annotations

from django.core.files import File
from django.core.files.storage import default_storage
from django.http import FileResponse, HttpRequest
from django.utils.http import content_disposition_header

from config.api.problems import Problem
from media import ranges, storing
from media.models import Media, Status

# What may be shown in place; all else is downloaded, as bytes of no type.
SHOWN = (
    "image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "video/webm", "video/3gpp", "video/quicktime",
    "audio/ogg", "audio/mpeg", "audio/mp4", "audio/aac", "audio/amr", "audio/wav",
)  # fmt: skip
OCTETS = "application/octet-stream"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}


def served_as(media: Media) -> str:
    return media.mime_type if media.mime_type in SHOWN else OCTETS


def disposition(media: Media) -> str:
    name = media.filename or media.id
    return str(content_disposition_header(media.mime_type not in SHOWN, name))


def response(media: Media, request: HttpRequest) -> FileResponse:
    """The content of a stored file, or the part of it that the request asks for.

    Raises Problem ``media_not_stored``, ``not_found`` if the file itself is gone, and ``range_not_satisfiable``.
    """
    check_stored(media)
    try:
        file = default_storage.open(media.file, "rb")
    except FileNotFoundError as error:
        raise Problem("not_found", "The file is gone.") from error
    try:
        answer = _answer(file, request, f'"{media.sha256}"') if _in_parts() else FileResponse(file)
    except Problem:
        file.close()
        raise
    own = {"Content-Disposition": disposition(media), "Content-Type": served_as(media)}
    for name, value in (HEADERS | own).items():  # over what Django makes of the storage's key
        answer[name] = value
    answer.block_size = storing.CHUNK_BYTES
    return answer


def _in_parts() -> bool:
    """Whether the storage gives parts of files without reading all of them: it keeps them on a disk of ours."""
    try:
        default_storage.path("")
    except NotImplementedError:
        return False
    return True


def _answer(file: File[bytes], request: HttpRequest, etag: str) -> FileResponse:
    """Raises Problem ``range_not_satisfiable``."""
    size, part = file.size, None
    if request.method == "GET" and request.headers.get("If-Range", etag) == etag:
        part = ranges.asked_for(request.headers.get("Range", ""), size)
    if part is None:
        answer = FileResponse(file)
    else:
        file.seek(part.first)
        answer = FileResponse(ranges.Part(file, part.length), status=206)
        answer["Content-Length"] = str(part.length)
        answer["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    answer["Accept-Ranges"], answer["ETag"] = "bytes", etag
    return answer


def check_stored(media: Media) -> None:
    """Raises Problem ``media_not_stored``."""
    if media.status != Status.STORED:
        raise Problem("media_not_stored", f"The file is {media.status}.", status_of_media=media.status)

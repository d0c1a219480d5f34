"""What a file is, by its content; what people claim of it decides only where the content leaves it open."""

from __future__ import annotations

import mimetypes
import re
from functools import lru_cache

import pylibmagic  # noqa: F401 (before magic: it brings libmagic)

import magic  # isort: skip

HEAD_BYTES = 64 * 1024  # enough of a file for `sniffed`
OCTETS = "application/octet-stream"
# Shown by a browser they could run scripts: only ever documents, and only ever downloaded.
ACTIVE = frozenset(
    {
        "text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml", "text/javascript",
        "application/javascript", "text/css", "application/x-shockwave-flash", "message/rfc822", "multipart/related",
    }
)  # fmt: skip
_SAME = {
    "application/ogg": "audio/ogg",
    "audio/opus": "audio/ogg",
    "audio/x-opus+ogg": "audio/ogg",
    "audio/vorbis": "audio/ogg",
    "audio/mp3": "audio/mpeg",
    "audio/x-m4a": "audio/mp4",
    "video/x-m4v": "video/mp4",
    "audio/x-hx-aac-adts": "audio/aac",
    "audio/x-aac": "audio/aac",
    "audio/3gpp": "audio/amr",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "image/x-ms-bmp": "image/bmp",
    "image/pjpeg": "image/jpeg",
    "video/x-mpeg": "video/mpeg",
    "video/avi": "video/x-msvideo",
    "application/x-matroska": "video/x-matroska",
    "video/3gpp2": "video/3gpp",
    "image/heif": "image/heic",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heic",
    "application/x-ole-storage": "application/x-cfb",
    "application/CDFV2": "application/x-cfb",
    "application/x-empty": OCTETS,
    "inode/x-empty": OCTETS,
}
# The content leaves open what these are: a name may tell (a .docx is a ZIP, a .csv is text).
_OPEN = frozenset({OCTETS, "application/zip", "text/plain", "application/x-cfb", "application/json"})
# A browser that is left to guess would take these for a page, whatever a first glance says.
_MARKUP = re.compile(rb"<\s*(?:!doctype\s+html|html|head|body|script|iframe|svg|\?xml)\b", re.IGNORECASE)
_KNOWN_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF", b"OggS", b"ID3", b"PK\x03\x04", b"%PDF-")


_OFFICE = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".epub": "application/epub+zip",
    ".apk": "application/vnd.android.package-archive",
}
_NAMES = mimetypes.MimeTypes()  # Python's own list, whatever the machine has
for _ending, _type in _OFFICE.items():
    _NAMES.add_type(_type, _ending)


@lru_cache(maxsize=1)
def _magic() -> magic.Magic:
    return magic.Magic(mime=True)  # loads its tables once; has a lock of its own


def sniffed(head: bytes, filename: str = "", claimed: str = "") -> str:
    """The type of a file whose first HEAD_BYTES (or all, if it is shorter) are given."""
    found = _magic().from_buffer(head[:HEAD_BYTES]).lower() if head else OCTETS
    found = _SAME.get(found, found)
    if found not in _OPEN:
        return found
    if not head.startswith(_KNOWN_STARTS) and _MARKUP.search(head[:1024]):
        return "text/html"
    for guess in (_NAMES.guess_type(filename)[0] or "", claimed):
        if _fits(found, guess):
            return guess
    return found


def _fits(found: str, guess: str) -> bool:
    """Whether a claim may stand: it must not make more of unclear content than a document."""
    if not guess or guess in ACTIVE or guess.startswith(("image/", "video/", "audio/", "multipart/", "message/")):
        return False
    if found == "text/plain":
        return guess.startswith("text/") or guess == "application/json"
    if found == "application/json":
        return guess.endswith("json")
    return guess.startswith("application/")

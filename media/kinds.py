"""What WhatsApp takes as what, as data; docs/media.md shows the table.

Sizes in bytes. The limits are those of WhatsApp's own clients; documents may be larger there (2 GB), but the client
library holds whole files in memory to upload them.
"""

from __future__ import annotations

from typing import NamedTuple

from media.models import Kind

KB, MB = 1000, 1024 * 1024
IMAGES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "image/bmp", "image/tiff"})
VIDEOS = frozenset(
    {
        "video/mp4", "video/quicktime", "video/3gpp", "video/webm", "video/x-matroska", "video/x-msvideo",
        "video/mpeg", "video/mp2t", "video/ogg",
    }
)  # fmt: skip
AUDIOS = frozenset(
    {"audio/ogg", "audio/mpeg", "audio/mp4", "audio/aac", "audio/amr", "audio/wav", "audio/flac", "audio/webm"}
)
# Their containers are the same; which one it is, the streams inside tell.
_SOUND_IN_VIDEO = frozenset({"video/mp4", "video/webm", "video/ogg", "video/3gpp", "video/quicktime"})


class Rule(NamedTuple):
    """What may be made into a kind, and how large: the file we are given, and the one that is sent."""

    accepted: frozenset[str]  # types by content; empty: any
    most_given: int
    most_sent: int
    sent_as: str  # for the docs


RULES: dict[str, Rule] = {
    Kind.IMAGE: Rule(
        IMAGES, 16 * MB, 16 * MB, "JPEG and PNG with the pixels they have; the others, and turned ones, as JPEG"
    ),
    Kind.VIDEO: Rule(VIDEOS, 100 * MB, 64 * MB, "MP4 with H.264 and AAC as it is; the others are converted"),
    Kind.GIF: Rule(VIDEOS | {"image/gif", "image/webp"}, 64 * MB, 16 * MB, "MP4 without sound"),
    Kind.ROUND: Rule(VIDEOS, 64 * MB, 16 * MB, "square MP4, at most 60 seconds"),
    Kind.AUDIO: Rule(
        AUDIOS | _SOUND_IN_VIDEO, 64 * MB, 16 * MB, "MP3, M4A, AAC, AMR and Ogg/Opus as they are; the others as M4A"
    ),
    Kind.VOICE: Rule(AUDIOS | _SOUND_IN_VIDEO, 64 * MB, 16 * MB, "Ogg/Opus, one channel"),
    Kind.DOCUMENT: Rule(frozenset(), 100 * MB, 100 * MB, "as it is"),
    Kind.STICKER: Rule(
        IMAGES | VIDEOS, 16 * MB, 500 * KB, "WebP of 512 x 512; still ones of at most 100 kB, moving ones 500 kB"
    ),
}
MOST_GIVEN = max(rule.most_given for rule in RULES.values())

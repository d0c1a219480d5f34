"""Images and stickers, by Pillow."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from typing import IO

from PIL import Image, ImageOps, ImageSequence, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

from media.converting.job import Job, Made, Refused

MAX_PIXELS = 50_000_000
THUMBNAIL_SIDE, THUMBNAIL_BYTES = 100, 32_000
PROFILE_SIDE = 640
STICKER_SIDE, STILL_STICKER_BYTES = 512, 100_000
MAX_FRAMES, MAX_STICKER_SECONDS = 150, 10.0
_FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}
_ORIENTATION = 0x0112
Frame = tuple[Image.Image, int]  # with its time in milliseconds

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


def opened(path: str, mime_type: str) -> Image.Image:
    """Raises Refused for what is no such image, or has too many pixels."""
    try:
        image = Image.open(path, formats=[_FORMATS[mime_type]])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused("media_too_large", f"An image may have at most {MAX_PIXELS} pixels.") from error
    except (KeyError, UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise Refused("media_unreadable", "The image cannot be read.") from error
    if image.width * image.height > MAX_PIXELS:
        raise Refused("media_too_large", f"An image may have at most {MAX_PIXELS} pixels.")
    return image


def thumbnail(image: Image.Image) -> bytes:
    """A small JPEG."""
    small = flat(image)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return _jpeg(small, 60)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def flat(image: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def image(job: Job) -> Made:
    """JPEG and PNG keep their pixels unless they are turned by their EXIF data; the rest becomes JPEG.

    What stands beside the pixels goes, as in WhatsApp's own clients: EXIF says where a picture was taken.
    """
    source = opened(job.source, job.mime_type)
    turned = _orientation(source) != 1
    source.load()
    upright = ImageOps.exif_transpose(source) if turned else source
    made = Made(job.mime_type, False, None, upright.width, upright.height, thumbnail(upright))
    profile = source.info.get("icc_profile")
    if job.mime_type == "image/png" and not turned:
        if _tells_more(source):
            source.save(job.target, "PNG", icc_profile=profile)
            made.converted = True
    elif job.mime_type != "image/jpeg" or turned or source.mode == "CMYK":
        keep = profile if source.mode in ("RGB", "RGBA") else None
        flat(upright).save(job.target, "JPEG", quality=90, icc_profile=keep, comment=b"")
        made.mime_type, made.converted = "image/jpeg", True
    elif _tells_more(source):
        # A picture in several parts (MPO) cannot be saved with the tables it has.
        quality = "keep" if source.format == "JPEG" else 95
        source.save(job.target, "JPEG", quality=quality, icc_profile=profile, comment=b"")
        made.converted = True
    return made


def profile_picture(job: Job) -> Made:
    """The middle of a picture as a square JPEG, as WhatsApp's own clients make it."""
    source = ImageOps.exif_transpose(opened(job.source, job.mime_type))
    side = min(PROFILE_SIDE, max(source.size))
    square = ImageOps.fit(flat(source), (side, side))
    for quality in (85, 70, 55, 40, 25):
        if len(jpeg := _jpeg(square, quality)) <= job.most_sent:
            with open(job.target, "wb") as file:
                file.write(jpeg)
            return Made("image/jpeg", True, None, side, side)
    raise Refused("media_too_large", f"As a profile picture it is larger than {job.most_sent} bytes.")


def _orientation(source: Image.Image) -> int:
    """How EXIF says that the picture is turned; 1, not at all, where that cannot be read."""
    try:
        return int(source.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, TypeError, ValueError, struct.error):
        return 1


def _tells_more(source: Image.Image) -> bool:
    """Whether a loaded JPEG or PNG has more than pixels and how to show them."""
    if isinstance(source, JpegImagePlugin.JpegImageFile):
        return source.format != "JPEG" or any(not _only_shows(name, data) for name, data in source.applist)
    assert isinstance(source, PngImagePlugin.PngImageFile)
    return bool(source.text or source.private_chunks or source.info.keys() & {"exif", "xmp"})


def _only_shows(name: str, data: bytes) -> bool:
    """Whether a part of a JPEG is needed to show it: its measures, its colours."""
    return name in ("APP0", "APP14") or (name == "APP2" and data.startswith(b"ICC_PROFILE\0"))


def sticker(job: Job) -> Made:
    """WebP of 512 x 512, still or moving."""
    source = opened(job.source, job.mime_type)
    frames = getattr(source, "n_frames", 1)
    if job.mime_type == "image/webp" and source.size == (STICKER_SIDE, STICKER_SIDE) and frames <= MAX_FRAMES:
        with open(job.source, "rb") as file:
            size = file.seek(0, io.SEEK_END)
        if size <= (STILL_STICKER_BYTES if frames == 1 else job.most_sent):
            source.load()
            return _sticker_made(False, thumbnail(source))
    if frames > 1:
        return moving_sticker(job, frames_of(source))
    square = _squared(ImageOps.exif_transpose(source))
    for quality in (90, 75, 60, 45, 30, 15):
        out = io.BytesIO()
        square.save(out, "WEBP", quality=quality, method=4)
        if out.tell() <= STILL_STICKER_BYTES:
            return _write_sticker(job, out, thumbnail(square))
    raise Refused("media_too_large", f"As a sticker it is larger than {STILL_STICKER_BYTES} bytes.")


def moving_sticker(job: Job, frames: Iterator[Frame]) -> Made:
    """A sticker of frames, at most MAX_STICKER_SECONDS of them."""
    kept: list[Frame] = []
    total = 0
    for frame, milliseconds in frames:
        shown = min(max(milliseconds, 20), 1000)
        if len(kept) >= MAX_FRAMES or total + shown > MAX_STICKER_SECONDS * 1000:
            break
        kept.append((_squared(frame), shown))
        total += shown
    if not kept:
        raise Refused("media_unreadable", "It has no pictures.")
    small = thumbnail(kept[0][0])
    for quality, every in ((60, 1), (40, 1), (40, 2), (25, 2), (20, 3), (10, 4)):
        out = io.BytesIO()
        _save_moving(out, _thinned(kept, every), quality)
        if out.tell() <= job.most_sent:
            return _write_sticker(job, out, small, total / 1000)
    raise Refused("media_too_large", f"As a sticker it is larger than {job.most_sent} bytes.")


def _thinned(frames: list[Frame], every: int) -> list[Frame]:
    """Each n-th frame, shown for the time of those left out after it as well."""
    groups = [frames[start : start + every] for start in range(0, len(frames), every)]
    return [(group[0][0], sum(time for _, time in group)) for group in groups]


def _save_moving(out: IO[bytes], frames: list[Frame], quality: int) -> None:
    (first, _), *rest = frames
    first.save(
        out,
        "WEBP",
        save_all=True,
        append_images=[image for image, _ in rest],
        duration=[time for _, time in frames],
        loop=0,
        quality=quality,
        method=2,
    )


def _write_sticker(job: Job, out: io.BytesIO, small: bytes, seconds: float | None = None) -> Made:
    with open(job.target, "wb") as file:
        file.write(out.getvalue())
    return _sticker_made(True, small, seconds)


def _sticker_made(converted: bool, small: bytes, seconds: float | None = None) -> Made:
    return Made("image/webp", converted, seconds, STICKER_SIDE, STICKER_SIDE, small)


def frames_of(source: Image.Image) -> Iterator[Frame]:
    for frame in ImageSequence.Iterator(source):
        yield frame.convert("RGBA"), int(frame.info.get("duration", 100) or 100)


def _squared(image: Image.Image) -> Image.Image:
    """Fitted into the sticker's square, on a transparent ground."""
    fitted = ImageOps.contain(image.convert("RGBA"), (STICKER_SIDE, STICKER_SIDE))
    square = Image.new("RGBA", (STICKER_SIDE, STICKER_SIDE), (0, 0, 0, 0))
    square.paste(fitted, ((STICKER_SIDE - fitted.width) // 2, (STICKER_SIDE - fitted.height) // 2))
    return square

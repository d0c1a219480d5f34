from __future__ import annotations

import io
import math
import struct
import subprocess
import sys
import wave
import zlib
from array import array
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from PIL import Image, ImageChops, ImageCms
from PIL.PngImagePlugin import PngInfo

from conftest import Person
from media import renditions, services
from media.converting.job import Job, Refused
from media.models import Media, Rendition
from media.tests.conftest import picture

Stored = Callable[..., Media]


def video(codec: str = "libx264", form: str = "mp4", frames: int = 10, size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_image(Image.new("RGB", size, (number * 20, 0, 0)))
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def sound(seconds: float = 1.0) -> bytes:
    """A tone that grows louder."""
    out = io.BytesIO()
    count = int(8000 * seconds)
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        tone = (int(20_000 * n / count * math.sin(n / 3)) for n in range(count))
        file.writeframes(array("h", tone).tobytes())
    return out.getvalue()


def moving() -> bytes:
    frames = [Image.new("RGB", (60, 40), (number * 40, 0, 0)) for number in range(5)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    return out.getvalue()


@pytest.fixture
def made(alice: Person, stored: Stored) -> Callable[..., Rendition]:
    def make(content: bytes, kind: str, filename: str = "") -> Rendition:
        media = stored(alice, content, filename)
        services.begin(media_id=media.id, kind=kind)
        renditions.worklist().run()
        return Rendition.objects.get(media=media)

    return make


Made = Callable[..., Rendition]
pytestmark = pytest.mark.django_db


def file_of(rendition: Rendition) -> bytes:
    with default_storage.open(rendition.file) as file:
        return bytes(file.read())


def test_a_jpeg_is_sent_as_it_is_with_a_thumbnail(made: Made) -> None:
    rendition = made(picture((640, 480)), "image")
    assert (rendition.status, rendition.file, rendition.mime_type) == ("ready", "", "image/jpeg")
    assert (rendition.width, rendition.height) == (640, 480)
    small = Image.open(io.BytesIO(bytes(rendition.thumbnail or b"")))
    assert (small.format, max(small.size)) == ("JPEG", 100)


def test_a_turned_photograph_is_put_upright(made: Made) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    rendition = made(picture((64, 48), exif=exif), "image")
    assert (rendition.width, rendition.height) == (48, 64)
    assert Image.open(io.BytesIO(file_of(rendition))).size == (48, 64)


def place() -> Image.Exif:
    """What a camera writes of where it was."""
    exif = Image.Exif()
    exif[0x010F] = "Camera of Ada"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 58.0)
    return exif


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_what_stands_beside_the_pixels_is_not_sent(made: Made, form: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    words = PngInfo()
    words.add_itxt("XML:com.adobe.xmp", "<x>Main Street 1</x>")
    more: dict[str, Any] = {"pnginfo": words} if form == "PNG" else {"comment": b"Main Street 1", "xmp": b"<x>Ada</x>"}
    given = picture(form=form, exif=place(), icc_profile=profile, **more)
    rendition = made(given, "image")
    sent = file_of(rendition)
    shown = Image.open(io.BytesIO(sent))
    shown.load()
    assert (shown.format, rendition.mime_type) == (form, f"image/{form.lower()}")
    assert not shown.getexif()
    assert shown.info["icc_profile"] == profile
    assert not any(word in sent for word in (b"Ada", b"Street", b"Exif"))
    assert any(word in given for word in (b"Ada", b"Street"))
    difference = ImageChops.difference(shown, Image.open(io.BytesIO(given)))
    assert max(high for _, high in difference.getextrema()) <= 2  # type: ignore[misc]


def test_nothing_of_a_turned_photograph_but_its_pixels_is_sent(made: Made) -> None:
    exif = place()
    exif[0x0112] = 3
    sent = file_of(made(picture(exif=exif, comment=b"Main Street 1"), "image"))
    assert not any(word in sent for word in (b"Ada", b"Street", b"Exif"))


def test_a_photograph_whose_exif_data_is_broken_is_sent_without(made: Made) -> None:
    rendition = made(picture(exif=b"Exif\0\0MM\0*\xff\xff\xff\xffnonsense"), "image")
    assert rendition.status == "ready"
    assert b"nonsense" not in file_of(rendition)


def test_a_video_does_not_say_where_it_was_taken(made: Made) -> None:
    out = io.BytesIO()
    source: Any
    target: Any
    with av.open(io.BytesIO(video())) as source, av.open(out, "w", format="mp4") as target:
        target.metadata["location"] = "+52.5163+013.3777/"
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert b"loci" in out.getvalue()
    sent = file_of(made(out.getvalue(), "video"))
    assert b"loci" not in sent
    with av.open(io.BytesIO(sent)) as source:
        assert len(list(source.decode(video=0))) == 10


@pytest.mark.parametrize("form", ["WEBP", "GIF", "BMP", "AVIF"])
def test_other_images_become_jpeg(made: Made, form: str) -> None:
    rendition = made(picture(form=form), "image")
    assert (rendition.status, rendition.mime_type) == ("ready", "image/jpeg"), rendition.error_detail
    assert Image.open(io.BytesIO(file_of(rendition))).format == "JPEG"


def test_a_video_whatsapp_plays_is_sent_as_it_is_and_others_are_converted(made: Made) -> None:
    plain = made(video(), "video")
    assert (plain.status, plain.file, plain.seconds, plain.width) == ("ready", "", 1.0, 64)
    assert plain.thumbnail
    other = made(video("mpeg4", "avi"), "video")
    assert (other.status, other.mime_type) == ("ready", "video/mp4"), other.error_detail
    with av.open(io.BytesIO(file_of(other))) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert other.seconds == pytest.approx(1.0, abs=0.2)


def test_a_gif_becomes_a_silent_video(made: Made) -> None:
    rendition = made(moving(), "gif")
    assert (rendition.status, rendition.mime_type) == ("ready", "video/mp4"), rendition.error_detail
    with av.open(io.BytesIO(file_of(rendition))) as container:
        assert not container.streams.audio


def test_a_round_video_is_square(made: Made) -> None:
    rendition = made(video(), "round")
    assert rendition.width == rendition.height == 48


def test_a_voice_note_is_opus_with_a_waveform(made: Made) -> None:
    rendition = made(sound(), "voice")
    assert (rendition.status, rendition.mime_type) == ("ready", "audio/ogg; codecs=opus"), rendition.error_detail
    assert rendition.seconds == pytest.approx(1.0, abs=0.1)
    waveform = bytes(rendition.waveform or b"")
    assert (len(waveform), max(waveform)) == (64, 100)
    assert waveform[4] < waveform[32] < waveform[60]
    with av.open(io.BytesIO(file_of(rendition))) as container:
        context: Any = container.streams.audio[0].codec_context
        assert (context.name, context.channels) == ("opus", 1)


def test_stickers_are_webp_squares(made: Made) -> None:
    still = made(picture((300, 100), "PNG"), "sticker")
    image = Image.open(io.BytesIO(file_of(still)))
    assert (image.format, image.size, still.mime_type) == ("WEBP", (512, 512), "image/webp")
    image = Image.open(io.BytesIO(file_of(made(moving(), "sticker"))))
    assert (image.format, image.size, getattr(image, "n_frames", 1)) == ("WEBP", (512, 512), 5)


def test_a_document_is_sent_as_it_is_whatever_it_is(made: Made) -> None:
    rendition = made(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "document", "a.svg")
    assert (rendition.status, rendition.file, rendition.mime_type) == ("ready", "", "image/svg+xml")


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image", "media_type_not_allowed"),
        (b"<html><script>alert(1)</script>", "image", "media_type_not_allowed"),
        (b"%PDF-1.4\n", "video", "media_type_not_allowed"),
        (picture()[:200], "image", "media_unreadable"),
        (picture(), "voice", "media_type_not_allowed"),
        (video()[:500], "video", "media_unreadable"),
        (b"GIF89a" + b"\xff" * 200, "sticker", "media_unreadable"),
        (sound(), "video", "media_type_not_allowed"),
    ],
)
def test_what_cannot_be_sent_as_a_kind_says_why(made: Made, content: bytes, kind: str, code: str) -> None:
    rendition = made(content, kind)
    assert (rendition.status, rendition.error_code) == ("failed", code)
    assert rendition.error_detail


def bomb(side: int = 30_000) -> bytes:
    """A PNG of few bytes and 900 million pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\x00" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["image", "sticker"])
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(made: Made, kind: str) -> None:
    rendition = made(bomb(), kind)
    assert (rendition.status, rendition.error_code) == ("failed", "media_too_large")


def test_a_playlist_reaches_no_other_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(video())
    source = tmp_path / "source"
    source.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n")
    for mime_type in ("video/mp4", "application/vnd.apple.mpegurl"):
        with pytest.raises(Refused) as refused:
            renditions.convert(Job("video", mime_type, str(source), str(tmp_path / "made"), 10**6), tmp_path)
        assert refused.value.code in ("media_unreadable", "media_type_not_allowed")


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(picture())
    with pytest.raises(Refused) as refused:
        renditions.convert(Job("image", "image/jpeg", str(source), str(tmp_path / "made"), 10**6), tmp_path, 0.01)
    assert refused.value.code == "media_timeout"


def test_the_process_has_limits_that_it_cannot_raise(tmp_path: Path) -> None:
    probe = (
        "import resource; from media.converting import limits; limits.apply();"
        "print(resource.getrlimit(resource.RLIMIT_AS)[1], resource.getrlimit(resource.RLIMIT_CPU)[1])"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=settings.BASE_DIR, capture_output=True, text=True)
    memory, seconds = map(int, done.stdout.split())
    assert 0 < memory <= 2 << 30
    assert 0 < seconds <= renditions.SECONDS


def test_a_rendition_is_made_once(alice: Person, stored: Stored) -> None:
    media = stored(alice, picture())
    told: list[Rendition] = []
    from media import handlers

    handlers.prepared.append(told.append)
    try:
        services.begin(media_id=media.id, kind="image")
        services.begin(media_id=media.id, kind="image")
        renditions.worklist().run()
        assert len(told) == 1
        services.begin(media_id=media.id, kind="image")
        assert len(told) == 2  # who came late is told as well
    finally:
        handlers.prepared.remove(told.append)
    assert Rendition.objects.count() == 1

"""Videos, by PyAV (ffmpeg's libraries)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.audio.resampler import AudioResampler
from av.filter import Graph
from PIL import Image

from media.converting import images
from media.converting.job import Job, Made, Refused
from media.converting.streams import open_source, seconds_of

MAX_SIDE, ROUND_SIDE, MAX_FRAMES_PER_SECOND = 1280, 480, 30
MAX_SECONDS, MAX_ROUND_SECONDS = 30 * 60, 60.0
_MP4 = frozenset({"video/mp4", "video/quicktime", "video/3gpp"})
_SOUND_RATE = 44_100


def video(job: Job) -> Made:
    """MP4 with H.264 and AAC stays as it is; other files that hold these, and those that say where they were taken,
    are packed anew; the rest is converted.
    """
    with open_source(job) as source:
        pictures = _pictures(source)
        sound = source.streams.audio[0] if source.streams.audio else None
        made = _measured(source, pictures, job)
        plain = _is_plain(pictures) and (sound is None or sound.codec_context.name == "aac")
        placed = any("location" in name.lower() for name in source.metadata)
    if plain and job.mime_type in _MP4 and made.seconds is not None:
        if placed or job.mime_type != "video/mp4":
            _repack(job)
            made.converted = True
        return made
    return _convert(job, made, sound is not None, MAX_SIDE, square=False)


def gif(job: Job) -> Made:
    """A video without sound that is played again and again."""
    if job.mime_type == "image/webp":
        return _from_frames(job)
    with open_source(job) as source:
        pictures = _pictures(source)
        made = _measured(source, pictures, job)
        plain = _is_plain(pictures) and not source.streams.audio and job.mime_type == "video/mp4"
    return made if plain and made.seconds is not None else _convert(job, made, False, MAX_SIDE, square=False)


def round_(job: Job) -> Made:
    """A round video note: square, of at most MAX_ROUND_SECONDS."""
    with open_source(job) as source:
        pictures = _pictures(source)
        sound = source.streams.audio[0] if source.streams.audio else None
        made = _measured(source, pictures, job)
        plain = _is_plain(pictures) and (sound is None or sound.codec_context.name == "aac")
    if (made.seconds or 0) > MAX_ROUND_SECONDS + 1:
        raise Refused("media_too_large", f"A round video may last at most {MAX_ROUND_SECONDS:.0f} seconds.")
    if plain and job.mime_type == "video/mp4" and made.width == made.height and made.seconds is not None:
        return made
    return _convert(job, made, sound is not None, ROUND_SIDE, square=True)


def sticker(job: Job) -> Made:
    """A moving sticker of a video's beginning."""
    with open_source(job) as source:
        return images.moving_sticker(job, _frames_for_sticker(source))


def _frames_for_sticker(source: Any) -> Iterator[tuple[Image.Image, int]]:
    last = -1.0
    for frame in source.decode(_pictures(source)):
        moment = float(frame.time or 0.0)
        if moment - last < 1 / 15:
            continue
        last = moment
        yield frame.to_image(), 67


def _pictures(source: Any) -> Any:
    if not source.streams.video:
        raise Refused("media_unreadable", "There are no pictures in it.")
    stream = source.streams.video[0]
    context = stream.codec_context
    if not 0 < context.width * context.height <= images.MAX_PIXELS:
        raise Refused("media_unreadable", "The pictures have no size, or one beyond measure.")
    stream.thread_type = "AUTO"
    return stream


def _is_plain(pictures: Any) -> bool:
    context = pictures.codec_context
    return context.name == "h264" and context.pix_fmt in ("yuv420p", "yuvj420p")


def _measured(source: Any, pictures: Any, job: Job) -> Made:
    """Length, size as shown and thumbnail; the source is read up to its first picture."""
    first = next(iter(source.decode(pictures)), None)
    if first is None:
        raise Refused("media_unreadable", "There are no pictures in it.")
    shown = first.to_image()
    if first.rotation % 360:
        shown = shown.rotate(first.rotation, expand=True)
    seconds = seconds_of(source)
    if seconds is not None and seconds > MAX_SECONDS:
        raise Refused("media_too_large", f"A video may last at most {MAX_SECONDS} seconds.")
    return Made("video/mp4", False, seconds, shown.width, shown.height, images.thumbnail(shown))


def _repack(job: Job) -> None:
    with open_source(job) as source, _target(job) as target:
        streams = [*source.streams.video[:1], *source.streams.audio[:1]]
        copies = {stream.index: target.add_stream_from_template(stream) for stream in streams}
        for packet in source.demux(streams):
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)


def _target(job: Job) -> Any:
    return av.open(job.target, "w", format="mp4", options={"movflags": "faststart"})


def _size(width: int, height: int, side: int, square: bool) -> tuple[int, int]:
    """Even, and no larger than the longest side."""
    if square:
        edge = min(width, height, side) // 2 * 2 or 2
        return edge, edge
    scale = min(1.0, side / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _convert(job: Job, made: Made, sound: bool, side: int, *, square: bool) -> Made:
    """Write the target as H.264 and AAC, upright."""
    made.width, made.height = _size(made.width or 2, made.height or 2, side, square)
    most = MAX_ROUND_SECONDS if square else float(MAX_SECONDS)
    with open_source(job) as source, _target(job) as target:
        pictures = _pictures(source)
        out = _encoder(target, pictures, made.width, made.height)
        heard = _SoundTrack(target, source.streams.audio[0]) if sound else None
        streams = [pictures, *([source.streams.audio[0]] if heard else [])]
        shown = _Upright(made.width, made.height, square)
        last = -1.0
        for frame in source.decode(*streams):
            if isinstance(frame, av.AudioFrame):
                if heard:
                    heard.encode(frame)
                continue
            moment = last + 1 / MAX_FRAMES_PER_SECOND if frame.time is None else float(frame.time)
            if moment > most:
                break
            if moment - last < 0.9 / MAX_FRAMES_PER_SECOND:
                continue  # more pictures than are shown, or time that goes back
            last = moment
            picture = shown.of(frame)
            picture.pts, picture.time_base = round(moment * 90_000), Fraction(1, 90_000)
            target.mux(out.encode(picture))
        target.mux(out.encode(None))
        if heard:
            heard.end()
    with av.open(job.target, format="mov") as result:
        made.seconds = seconds_of(result) or made.seconds
    made.mime_type, made.converted = "video/mp4", True
    return made


def _encoder(target: Any, pictures: Any, width: int, height: int) -> Any:
    rate = pictures.average_rate or pictures.guessed_rate or 25
    out = target.add_stream("libx264", rate=min(max(Fraction(rate), Fraction(1)), Fraction(MAX_FRAMES_PER_SECOND)))
    out.width, out.height, out.pix_fmt = width, height, "yuv420p"
    out.options = {"preset": "veryfast", "crf": "26", "profile": "main", "threads": "2"}
    out.codec_context.time_base = Fraction(1, 90_000)
    return out


class _Upright:
    """Turns and scales pictures; made anew when their form changes on the way."""

    def __init__(self, width: int, height: int, square: bool) -> None:
        self._width, self._height, self._square = width, height, square
        self._form: tuple[Any, ...] = ()
        self._graph: Any = None

    def of(self, frame: Any) -> Any:
        form = (frame.width, frame.height, frame.format.name, frame.rotation % 360)
        if form != self._form:
            self._form, self._graph = form, self._made(frame)
        frame.pts = None
        self._graph.push(frame)
        return self._graph.pull()

    def _made(self, frame: Any) -> Any:
        graph = Graph()
        last = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 90_000)
        )
        turns = {90: ["cclock"], 180: ["clock", "clock"], 270: ["clock"]}.get(frame.rotation % 360, [])
        steps = [("transpose", turn) for turn in turns]
        if self._square:
            steps.append(("crop", "min(iw\\,ih):min(iw\\,ih)"))
        steps += [("scale", f"{self._width}:{self._height}"), ("format", "yuv420p")]
        for name, arguments in steps:
            following = graph.add(name, arguments)
            last.link_to(following)
            last = following
        last.link_to(graph.add("buffersink"))
        graph.configure()
        return graph


class _SoundTrack:
    def __init__(self, target: Any, stream: Any) -> None:
        self._target = target
        self._out = target.add_stream("aac", rate=_SOUND_RATE, layout="stereo")
        self._out.bit_rate = 96_000
        self._resampler = AudioResampler(format=self._out.codec_context.format, layout="stereo", rate=_SOUND_RATE)

    def encode(self, frame: Any) -> None:
        for piece in self._resampler.resample(frame):
            self._target.mux(self._out.encode(piece))

    def end(self) -> None:
        for piece in self._resampler.resample(None):
            self._target.mux(self._out.encode(piece))
        self._target.mux(self._out.encode(None))


def _from_frames(job: Job) -> Made:
    """A moving WebP, which ffmpeg's libraries cannot read."""
    source = images.opened(job.source, job.mime_type)
    width, height = _size(source.width, source.height, MAX_SIDE, square=False)
    made = Made("video/mp4", True, None, width, height)
    moment = 0
    with _target(job) as target:
        out = target.add_stream("libx264", rate=MAX_FRAMES_PER_SECOND)
        out.width, out.height, out.pix_fmt = width, height, "yuv420p"
        out.options = {"preset": "veryfast", "crf": "26", "profile": "main", "threads": "2"}
        out.codec_context.time_base = Fraction(1, 90_000)
        for picture, milliseconds in images.frames_of(source):
            if moment > MAX_ROUND_SECONDS * 1000:
                break
            made.thumbnail = made.thumbnail or images.thumbnail(picture)
            frame = av.VideoFrame.from_image(images.flat(picture)).reformat(width, height, "yuv420p")
            frame.pts, frame.time_base = moment * 90, Fraction(1, 90_000)
            target.mux(out.encode(frame))
            moment += max(milliseconds, 20)
        target.mux(out.encode(None))
    made.seconds = moment / 1000
    return made

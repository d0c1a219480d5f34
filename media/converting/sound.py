"""Audio and voice notes, by PyAV (ffmpeg's libraries)."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import Any

import av
from av.audio.resampler import AudioResampler

from media.converting.job import Job, Made, Refused
from media.converting.streams import open_source, seconds_of

WAVEFORM_VALUES = 64
MAX_SECONDS = 4 * 3600
_OPUS = "audio/ogg; codecs=opus"
_VOICE_RATE, _ENVELOPE_RATE = 48_000, 4_000
_KEPT = {
    "audio/mpeg": {"mp3", "mp3float"},
    "audio/aac": {"aac"},
    "audio/amr": {"amrnb", "amrwb"},
    "audio/ogg": {"opus"},
}


def audio(job: Job) -> Made:
    """What WhatsApp plays stays as it is; the rest becomes AAC in an MP4 container."""
    with open_source(job) as source:
        stream = _sound(source)
        codec = stream.codec_context.name
        as_it_is = codec in _KEPT.get(job.mime_type, ()) or (
            job.mime_type == "audio/mp4" and codec == "aac" and not source.streams.video
        )
        seconds = seconds_of(source)
    made = Made(_OPUS if job.mime_type == "audio/ogg" else job.mime_type, False, seconds)
    if not as_it_is or seconds is None:
        made.seconds = _transcode(job, "mp4", "aac", "stereo", 44_100, 128_000)
        made.mime_type, made.converted = "audio/mp4", True
    return made


def voice(job: Job) -> Made:
    """Ogg/Opus with one channel, with the waveform that is shown for it."""
    made = Made(_OPUS, False)
    with open_source(job) as source:
        stream = _sound(source)
        as_it_is = job.mime_type == "audio/ogg" and stream.codec_context.name == "opus" and stream.channels == 1
    if not as_it_is:
        _transcode(job, "ogg", "libopus", "mono", _VOICE_RATE, 32_000)
        made.converted = True
    path = job.target if made.converted else job.source
    made.seconds, made.waveform = _envelope(path)
    return made


def _sound(source: Any) -> Any:
    if not source.streams.audio:
        raise Refused("media_unreadable", "There is no sound in it.")
    return source.streams.audio[0]


def _transcode(job: Job, container: str, codec: str, layout: str, rate: int, bits: int) -> float:
    """Write the target; returns its length in seconds."""
    samples = 0
    with open_source(job) as source, av.open(job.target, "w", format=container) as target:
        stream = _sound(source)
        out: Any = target.add_stream(codec, rate=rate, layout=layout)
        out.bit_rate = bits
        resampler = AudioResampler(format=out.codec_context.format, layout=layout, rate=rate)
        for frame in _frames(source, stream):
            for piece in resampler.resample(frame):
                samples += piece.samples
                piece.pts = None
                target.mux(out.encode(piece))
        for piece in resampler.resample(None):
            samples += piece.samples
            piece.pts = None
            target.mux(out.encode(piece))
        target.mux(out.encode(None))
    if not samples:
        raise Refused("media_unreadable", "There is no sound in it.")
    return samples / rate


def _frames(source: Any, stream: Any) -> Any:
    total = 0.0
    for frame in source.decode(stream):
        total += frame.samples / frame.sample_rate
        if total > MAX_SECONDS:
            raise Refused("media_too_large", f"Sound may last at most {MAX_SECONDS} seconds.")
        yield frame


def _envelope(path: str) -> tuple[float, bytes]:
    """Seconds, and the loudest moments of WAVEFORM_VALUES equal parts, from 0 to 100."""
    samples = array("h")
    with av.open(path, format="ogg") as source:
        resampler = AudioResampler(format="s16", layout="mono", rate=_ENVELOPE_RATE)
        for frame in [*_frames(source, source.streams.audio[0]), None]:
            for piece in resampler.resample(frame):
                samples.frombytes(bytes(piece.planes[0])[: piece.samples * 2])
    if not samples:
        raise Refused("media_unreadable", "There is no sound in it.")
    count = len(samples)
    edges = [count * part // WAVEFORM_VALUES for part in range(WAVEFORM_VALUES + 1)]
    parts = [samples[start : max(end, start + 1)] or array("h", [0]) for start, end in pairwise(edges)]
    peaks = [max(max(part), -min(part)) for part in parts]  # noqa: PLW3301 (a part has thousands)
    loudest = max(*peaks, 1)
    return count / _ENVELOPE_RATE, bytes(round(100 * peak / loudest) for peak in peaks)

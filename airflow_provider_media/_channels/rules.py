"""What the messaging channels accept: the rules as data, and a file judged by them.

Sources (read in November 2026): for WhatsApp, Meta's media page of the WhatsApp Cloud API and its page on video
messages (3 November 2025), as several messaging vendors quote them; for RCS, the RCS for Business specifications as
messaging vendors publish them. A hard limit is an error, a recommendation a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_media._channels.h264 import H264Info

MB = 1_000_000
"""The sources do not say whether they mean this or 1024 * 1024 bytes: between the two is a warning, above an error."""

_MIB = 1024 * 1024
_BITS = 8
_SAME_SHAPE = 0.01
"""Sides whose ratio differs by less than this share have the same shape."""

_TITLES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "video/mp4": "MP4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What a file's headers say; None and empty where they do not.

    :param mime_type: such as ``image/png``.
    :param size: in bytes.
    :param width: in pixels.
    :param height: in pixels.
    :param colors: such as ``RGB``, ``RGBA``, ``CMYK``, ``grayscale``, ``palette``.
    :param bits: of each color.
    :param video_codecs: of an MP4's video tracks, such as ``H.264``.
    :param audio_codecs: of its audio tracks, such as ``AAC``.
    :param is_encrypted: whether a track can be played with a key only.
    :param h264: what its H.264 tracks need of a player.
    :param has_b_frames: whether frames are stored in another order than they are shown in.
    :param is_index_first: whether the ``moov`` box comes before the media data.
    """

    mime_type: str
    size: int
    width: int | None = None
    height: int | None = None
    colors: str | None = None
    bits: int | None = None
    video_codecs: tuple[str, ...] = ()
    audio_codecs: tuple[str, ...] = ()
    is_encrypted: bool = False
    h264: tuple[H264Info, ...] = ()
    has_b_frames: bool = False
    is_index_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a channel accepts of one type of file.

    :param max_mb: the largest size in MB.
    :param recommended_mb: the largest size in MB that the channel recommends.
    :param colors: which colors an image may have, with 8 bits each.
    :param pixels: the recommended sizes of an image, each with its use.
    :param video_codecs: which codecs a video may have.
    :param audio_codecs: which codecs its sound may have.
    :param max_audio_tracks: how many audio tracks it may have.
    :param is_baseline_video: whether H.264 must have 8 bits and 4:2:0, and should be Main or Baseline without B-frames,
        with its index before the media data.
    """

    max_mb: int
    recommended_mb: int | None = None
    colors: tuple[str, ...] = ()
    pixels: Mapping[tuple[int, int], str] | None = None
    video_codecs: tuple[str, ...] = ()
    audio_codecs: tuple[str, ...] = ()
    max_audio_tracks: int | None = None
    is_baseline_video: bool = False


_WHATSAPP_IMAGE = Rules(max_mb=5, colors=("RGB", "RGBA"))
_RCS_IMAGE = Rules(
    max_mb=100,
    recommended_mb=2,
    pixels={
        (1440, 720): "on a standalone card",
        (1440, 1440): "on a standalone card",
        (768, 1024): "beside the text",
        (960, 720): "in a carousel",
    },
)


@dataclass(frozen=True, slots=True)
class Channel:
    """A messaging channel.

    :param title: its name.
    :param rules: by MIME type.
    """

    title: str
    rules: Mapping[str, Rules]


CHANNELS: Mapping[str, Channel] = {
    "whatsapp": Channel(
        "WhatsApp",
        {
            "image/jpeg": _WHATSAPP_IMAGE,
            "image/png": _WHATSAPP_IMAGE,
            "video/mp4": Rules(
                max_mb=16,
                video_codecs=("H.264",),
                audio_codecs=("AAC",),
                max_audio_tracks=1,
                is_baseline_video=True,
            ),
        },
    ),
    "rcs": Channel(
        "RCS",
        {
            "image/jpeg": _RCS_IMAGE,
            "image/png": _RCS_IMAGE,
            "image/gif": _RCS_IMAGE,
            "video/mp4": Rules(max_mb=100, recommended_mb=10),
        },
    ),
}
"""The 100 MB of RCS are those of a whole message."""

_SIMPLE_PROFILES = ("Baseline", "Main")


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """What speaks against a file on its channels, in sentences without the file's name and the last full stop.

    :param errors: what the channel does not accept.
    :param warnings: what it recommends otherwise.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def channels_of(value: Any) -> tuple[str, ...]:
    """Read the channels' names, each once, in the order given.

    :param value: a list of names in any case, one name, or None.
    :raises MediaConfigurationError: for a name that is none.
    """
    given = [value] if isinstance(value, str) else list(value or ())
    names = [name.strip().lower() if isinstance(name, str) else name for name in given]
    for name, as_given in zip(names, given, strict=True):
        if not isinstance(name, str) or name not in CHANNELS:
            raise MediaConfigurationError(
                f"channels must be a list of {' and '.join(CHANNELS)}; {as_given!r} is neither."
            )
    return tuple(dict.fromkeys(names))


def judge(info: MediaInfo, channels: Iterable[str]) -> ChannelReport:
    """Return all that speaks against a file, on all channels."""
    errors: list[str] = []
    warnings: list[str] = []
    if info.is_encrypted:
        errors.append("encrypted video; no channel can play it. Export it without copy protection")
    elif info.mime_type == "video/mp4" and not info.video_codecs:
        errors.append("MP4 without a video track; no channel accepts it. Check how it was exported")
    for name in channels:
        channel = CHANNELS[name]
        rules = channel.rules.get(info.mime_type)
        if rules is None:
            accepted = ", ".join(_TITLES[mime_type] for mime_type in channel.rules)
            errors.append(f"{_TITLES[info.mime_type]}; {channel.title} accepts {accepted}")
            continue
        errors += [f"{found}; {channel.title} accepts {accepted}" for found, accepted in _violations(info, rules)]
        warnings += [f"{found}; {channel.title} recommends {wanted}" for found, wanted in _deviations(info, rules)]
    return ChannelReport(tuple(errors), tuple(warnings))


def _violations(info: MediaInfo, rules: Rules) -> Iterator[tuple[str, str]]:
    """Yield what the channel does not accept, each with what it accepts."""
    if info.size > rules.max_mb * _MIB:
        yield f"{info.size / MB:.1f} MB", f"at most {rules.max_mb} MB"
    if rules.colors and info.colors and (info.colors not in rules.colors or info.bits != _BITS):
        yield f"{info.bits}-bit {info.colors}", f"{_BITS}-bit {' or '.join(rules.colors)}"
    if info.is_encrypted:
        return
    for kind, found, accepted in (
        ("video", info.video_codecs, rules.video_codecs),
        ("audio", info.audio_codecs, rules.audio_codecs),
    ):
        others = [codec for codec in found if codec not in accepted]
        if accepted and others:
            yield f"{', '.join(others)} {kind}", ", ".join(accepted)
    tracks = len(info.audio_codecs)
    if rules.max_audio_tracks is not None and tracks > rules.max_audio_tracks:
        yield f"{tracks} audio tracks", f"at most {rules.max_audio_tracks}"
    if rules.is_baseline_video:
        for h264 in info.h264:
            if h264.bits != _BITS or h264.chroma != "4:2:0":
                yield f"H.264 {h264.profile} with {h264.bits} bits and {h264.chroma} chroma", "8 bits and 4:2:0"


def _deviations(info: MediaInfo, rules: Rules) -> Iterator[tuple[str, str]]:
    """Yield what the channel recommends otherwise, each with what it recommends."""
    if rules.max_mb * MB < info.size <= rules.max_mb * _MIB:
        yield f"{info.size:,} bytes", f"at most {rules.max_mb * MB:,}, because it may count {MB:,} bytes as 1 MB"
    if rules.recommended_mb and rules.recommended_mb * _MIB < info.size <= rules.max_mb * _MIB:
        yield f"{info.size / MB:.1f} MB", f"at most {rules.recommended_mb} MB"
    yield from _pixels(info, rules)
    if not rules.is_baseline_video or info.is_encrypted:
        return
    for profile in dict.fromkeys(h264.profile for h264 in info.h264):
        if profile not in _SIMPLE_PROFILES:
            yield f"H.264 {profile} profile", "Main or Baseline, which all phones play (ffmpeg: -profile:v main)"
    if info.has_b_frames and info.h264:
        yield "video with B-frames", "none, because Android may not play them (ffmpeg: -bf 0)"
    if not info.is_index_first:
        yield "moov box behind the media data", "it in front, for playback while loading (ffmpeg: -movflags +faststart)"


def _pixels(info: MediaInfo, rules: Rules) -> Iterator[tuple[str, str]]:
    if not (rules.pixels and info.width and info.height):
        return
    ratio = info.width / info.height
    same_shape = [size for size in rules.pixels if abs(ratio * size[1] / size[0] - 1) < _SAME_SHAPE]
    if any(info.width >= width for width, _ in same_shape):
        return
    wanted = ", ".join(f"{width}x{height} {use}" for (width, height), use in rules.pixels.items())
    why = "smaller than recommended" if same_shape else "a shape of no card"
    yield f"{info.width}x{info.height} pixels, {why}", wanted

"""Validate media against the rules of the messaging channels.

Sources (read in November 2026): for WhatsApp, Meta's media page of the WhatsApp Cloud API and its page on video
messages (3 November 2025), as several messaging vendors quote them; for RCS, the RCS for Business specifications as
messaging vendors publish them. A limit is an error, a recommendation a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.values import format_size, show
from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


MB = 1_000_000
"""The sources do not define MB. A size between this and 1024 * 1024 bytes per MB is a warning, above it an error."""

_MIB = 1024 * 1024
_BITS = 8
_SAME_SHAPE = 0.01
"""Aspect ratios that differ by less than this share are the same shape."""

_TITLES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "video/mp4": "MP4"}


@dataclass(frozen=True, slots=True)
class H264Info:
    """The parameters of an H.264 stream."""

    profile: str
    level: str
    bits: int = 8
    chroma: str = "4:2:0"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """The properties of a media file, read from its headers; None or empty where unknown.

    :param colors: such as ``RGB``, ``RGBA``, ``CMYK``, ``grayscale``, ``palette``.
    :param h264: the parameters of its H.264 tracks.
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
    """The limits of a channel for one type of file.

    :param colors: the accepted color types of an image, with 8 bits per color.
    :param recommended_pixels: sizes of an image, each with its use; others cause a warning.
    :param video_codecs: the accepted video codecs; all if empty.
    :param audio_codecs: the accepted audio codecs; all if empty.
    :param is_baseline_video: whether H.264 must have 8 bits and 4:2:0, and should be Main or Baseline without B-frames,
        with its index before the media data.
    """

    max_mb: int
    recommended_mb: int | None = None
    colors: tuple[str, ...] = ()
    recommended_pixels: Mapping[tuple[int, int], str] | None = None
    video_codecs: tuple[str, ...] = ()
    audio_codecs: tuple[str, ...] = ()
    max_audio_tracks: int | None = None
    is_baseline_video: bool = False


_WHATSAPP_IMAGE = Rules(max_mb=5, colors=("RGB", "RGBA"))
_RCS_IMAGE = Rules(
    max_mb=100,
    recommended_mb=2,
    recommended_pixels={
        (1440, 720): "standalone card",
        (1440, 1440): "standalone card",
        (768, 1024): "card with the image beside the text",
        (960, 720): "carousel",
    },
)


@dataclass(frozen=True, slots=True)
class Channel:
    """A messaging channel, with its rules by MIME type."""

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
"""The 100 MB of RCS apply to a whole message."""

_SIMPLE_PROFILES = ("Baseline", "Main")


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """The violations of the channels' limits and recommendations, without the file's name and the last period.

    :param errors: the violated limits: ``GIF; WhatsApp accepts JPEG, PNG, MP4``.
    :param warnings: the recommendations not met; each is a summary, and advice after a semicolon.
    :param rejected_by: the titles of the channels that do not accept the file.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rejected_by: tuple[str, ...] = ()


def channels_of(value: Any) -> tuple[str, ...]:
    """Parse a list of channels' names in any case, one name, or None; return each once, in the order given."""
    given: list[Any] = [value] if isinstance(value, (str, int, float)) else list(value or ())
    names = [name.strip().lower() if isinstance(name, str) else name for name in given]
    for name, as_given in zip(names, given, strict=True):
        if not isinstance(name, str) or name not in CHANNELS:
            raise MediaConfigurationError(f"Unknown channel {show(as_given)} in channels; use {' or '.join(CHANNELS)}.")
    return tuple(dict.fromkeys(names))


def validate(info: MediaInfo, channels: Iterable[str]) -> ChannelReport:
    """Return what violates the limits and recommendations of the channels."""
    errors: list[str] = []
    warnings: list[str] = []
    rejected_by: list[str] = []
    if info.is_encrypted:
        errors.append("encrypted video; no channel plays it. Export it without copy protection")
    elif info.mime_type == "video/mp4" and not info.video_codecs:
        errors.append("MP4 without a video track; no channel accepts it. Check the export")
    for name in channels:
        channel = CHANNELS[name]
        violations, deviations = _check(info, channel)
        errors += violations
        warnings += [f"{channel.title}: {deviation}" for deviation in deviations]
        rejected_by += [channel.title] * bool(violations)
    return ChannelReport(tuple(errors), tuple(warnings), tuple(rejected_by))


def problems_of(mime_type: str | None, size: int | None, width: int | None, height: int | None) -> list[dict[str, str]]:
    """Return what the metadata of a stored file shows about the channels; no problem is not an approval.

    :returns: for each problem the ``channel`` and its ``title``, the ``level`` (``error`` or ``warning``), and a
        ``text``: a summary, and advice after a semicolon.
    """
    if mime_type not in _TITLES:  # also other names of the accepted types
        return []
    info = MediaInfo(mime_type=mime_type, size=size or 0, width=width, height=height)
    problems: list[dict[str, str]] = []
    for name, channel in CHANNELS.items():
        for level, texts in zip(("error", "warning"), _check(info, channel), strict=True):
            problems += [{"channel": name, "title": channel.title, "level": level, "text": text} for text in texts]
    return problems


def _check(info: MediaInfo, channel: Channel) -> tuple[list[str], list[str]]:
    """Return the violated limits of a channel, and its recommendations that are not met."""
    rules = channel.rules.get(info.mime_type)
    if rules:
        violations, deviations = [*_violations(info, rules)], [*_deviations(info, rules)]
    else:
        violations, deviations = [(_TITLES[info.mime_type], ", ".join(_TITLES[other] for other in channel.rules))], []
    return [f"{found}; {channel.title} accepts {accepted}" for found, accepted in violations], deviations


def _violations(info: MediaInfo, rules: Rules) -> Iterator[tuple[str, str]]:
    """Yield each violated limit: the value found, and what the channel accepts."""
    if info.size > rules.max_mb * _MIB:
        yield format_size(info.size), f"at most {rules.max_mb} MB"
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


def _deviations(info: MediaInfo, rules: Rules) -> Iterator[str]:
    """Yield each recommendation that is not met: a summary, and advice after a semicolon."""
    if rules.max_mb * MB < info.size <= rules.max_mb * _MIB:
        limit = f"{rules.max_mb * MB:,} bytes"
        yield f"{info.size:,} bytes may be more than {rules.max_mb} MB; {limit} are safe, because 1 MB is not defined"
    if rules.recommended_mb and rules.recommended_mb * _MIB < info.size <= rules.max_mb * _MIB:
        yield f"{format_size(info.size)}, recommended at most {rules.recommended_mb} MB"
    yield from _pixels(info, rules)
    if not rules.is_baseline_video or info.is_encrypted:
        return
    for profile in dict.fromkeys(h264.profile for h264 in info.h264):
        if profile not in _SIMPLE_PROFILES:
            yield f"H.264 {profile} profile; all phones play Main and Baseline (ffmpeg: -profile:v main)"
    if info.has_b_frames and info.h264:
        yield "video with B-frames; Android may not play them (ffmpeg: -bf 0)"
    if not info.is_index_first:
        yield "moov box after the media data; playback starts sooner with it first (ffmpeg: -movflags +faststart)"


def _pixels(info: MediaInfo, rules: Rules) -> Iterator[str]:
    if not (rules.recommended_pixels and info.width and info.height):
        return
    ratio = info.width / info.height
    same_shape = [size for size in rules.recommended_pixels if abs(ratio * size[1] / size[0] - 1) < _SAME_SHAPE]
    if any(info.width >= width for width, _ in same_shape):
        return
    sizes = ", ".join(f"{width}x{height} ({use})" for (width, height), use in rules.recommended_pixels.items())
    reason = "is smaller than recommended" if same_shape else "fits no card"
    yield f"{info.width}x{info.height} {reason}; recommended: {sizes}"

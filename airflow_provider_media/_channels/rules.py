"""What the messaging channels take: the rules as data, and a file's facts judged by them.

Sources (read in November 2026): for WhatsApp, Meta's media page of the WhatsApp Cloud API, as several messaging vendors
quote it; for RCS, the RCS for Business specifications as messaging vendors publish them. A hard limit is an error, a
recommendation a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.problem import Kind, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MB = 1_000_000
"""The sources do not say whether they mean this or 1024 * 1024 bytes: between the two is a warning, above an error."""

_MIB = 1024 * 1024
_BITS = 8
_SAME_SHAPE = 0.01
"""Sides whose ratio differs by less than this share have the same shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """What a file's headers tell of it; None and empty where they do not.

    :param mime_type: such as ``image/png``.
    :param size: in bytes.
    :param width: in pixels.
    :param height: in pixels.
    :param colours: such as ``RGB``, ``RGBA``, ``CMYK``, ``greyscale``, ``palette``.
    :param bits: of each colour.
    :param video_codecs: of an MP4's video streams, such as ``H.264``.
    :param audio_codecs: of its audio streams, such as ``AAC``.
    """

    mime_type: str
    size: int
    width: int | None = None
    height: int | None = None
    colours: str | None = None
    bits: int | None = None
    video_codecs: tuple[str, ...] = ()
    audio_codecs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a channel takes of one kind of file.

    :param most: the largest size in MB.
    :param recommended: the largest size in MB that the channel recommends.
    :param colours: which colours an image may have, with 8 bits each.
    :param pixels: the recommended sizes of an image, each with its use.
    :param video_codecs: which codecs a video may have.
    :param audio_codecs: which codecs its sound may have.
    :param most_audio_streams: how many streams of sound it may have.
    """

    most: int
    recommended: int | None = None
    colours: tuple[str, ...] = ()
    pixels: Mapping[tuple[int, int], str] | None = None
    video_codecs: tuple[str, ...] = ()
    audio_codecs: tuple[str, ...] = ()
    most_audio_streams: int | None = None


_WHATSAPP_IMAGE = Rules(most=5, colours=("RGB", "RGBA"))
_RCS_IMAGE = Rules(
    most=100,
    recommended=2,
    pixels={
        (1440, 720): "on a standalone card",
        (1440, 1440): "on a standalone card",
        (768, 1024): "beside the text",
        (960, 720): "in a carousel",
    },
)

CHANNELS: Mapping[str, Mapping[str, Rules]] = {
    "whatsapp": {
        "image/jpeg": _WHATSAPP_IMAGE,
        "image/png": _WHATSAPP_IMAGE,
        "video/mp4": Rules(most=16, video_codecs=("H.264",), audio_codecs=("AAC",), most_audio_streams=1),
    },
    "rcs": {
        "image/jpeg": _RCS_IMAGE,
        "image/png": _RCS_IMAGE,
        "image/gif": _RCS_IMAGE,
        "video/mp4": Rules(most=100, recommended=10),
    },
}
"""By channel and MIME type. The 100 MB of RCS are those of a whole message."""

_TITLES = {"whatsapp": "WhatsApp", "rcs": "RCS"}


@dataclass(frozen=True, slots=True)
class ChannelFindings:
    """What speaks against a file on its channels, in sentences.

    :param errors: what the channel refuses.
    :param warnings: what it recommends otherwise.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def channels_of(value: Any) -> tuple[str, ...]:
    """Read the channels' names, each once, in the order given.

    :param value: a list of names in any case, one name, or None.
    :raises Problem: of kind CONFIGURATION, for a name that is none.
    """
    given = [value] if isinstance(value, str) else list(value or ())
    names = [name.strip().lower() if isinstance(name, str) else name for name in given]
    for name, as_given in zip(names, given, strict=True):
        if not isinstance(name, str) or name not in CHANNELS:
            raise Problem(
                Kind.CONFIGURATION, f"channels must be a list of {' and '.join(CHANNELS)}; {as_given!r} is neither."
            )
    return tuple(dict.fromkeys(names))


def judge(label: str, facts: MediaFacts, channels: Iterable[str]) -> ChannelFindings:
    """Say all that speaks against a file, on all channels.

    :param label: the file's name, for the sentences.
    """
    errors: list[str] = []
    warnings: list[str] = []
    for channel in channels:
        for is_error, reason in _objections(facts, CHANNELS[channel]):
            start = (
                f"{label} {'cannot be sent on' if is_error else 'is not what is recommended for'} {_TITLES[channel]}"
            )
            (errors if is_error else warnings).append(f"{start}: {reason}.")
    return ChannelFindings(tuple(errors), tuple(warnings))


def _objections(facts: MediaFacts, of_channel: Mapping[str, Rules]) -> Iterator[tuple[bool, str]]:
    """Give each objection, and whether it is an error."""
    rules = of_channel.get(facts.mime_type)
    if rules is None:
        yield True, f"it is {facts.mime_type}, and the channel takes {', '.join(of_channel)}; convert it"
        return
    yield from _size(facts.size, rules)
    if rules.colours and facts.colours and (facts.colours not in rules.colours or facts.bits != _BITS):
        found = f"{facts.colours} of {facts.bits} bit{'s' if facts.bits != 1 else ''}"
        wanted = f"{' or '.join(rules.colours)} of {_BITS} bits"
        yield True, f"its colours are {found}, and the channel takes {wanted}; save it so"
    yield from _pixels(facts, rules)
    yield from _codecs(facts, rules)


def _size(size: int, rules: Rules) -> Iterator[tuple[bool, str]]:
    if size > rules.most * _MIB:
        yield True, f"it has {size / MB:.1f} MB, and the channel takes {rules.most} MB at most; make it smaller"
    elif size > rules.most * MB:
        yield False, f"its {size:,} bytes are within {rules.most} MB only if the channel counts 1,048,576 bytes a MB"
    elif rules.recommended and size > rules.recommended * _MIB:
        yield False, f"it has {size / MB:.1f} MB, and at most {rules.recommended} MB are recommended"


def _pixels(facts: MediaFacts, rules: Rules) -> Iterator[tuple[bool, str]]:
    if not (rules.pixels and facts.width and facts.height):
        return
    ratio = facts.width / facts.height
    same_shape = [size for size in rules.pixels if abs(ratio * size[1] / size[0] - 1) < _SAME_SHAPE]
    if any(facts.width >= width for width, _ in same_shape):
        return
    wanted = ", ".join(f"{width}x{height} {use}" for (width, height), use in rules.pixels.items())
    what = "it is smaller than recommended" if same_shape else "its shape fits none"
    yield False, f"it has {facts.width}x{facts.height} pixels, {what}; recommended are {wanted}"


def _codecs(facts: MediaFacts, rules: Rules) -> Iterator[tuple[bool, str]]:
    if facts.mime_type != "video/mp4":
        return
    if not facts.video_codecs:
        yield True, "it holds no video stream; check how it was exported"
    for kind, found, taken in (
        ("video", facts.video_codecs, rules.video_codecs),
        ("sound", facts.audio_codecs, rules.audio_codecs),
    ):
        others = [codec for codec in found if codec not in taken]
        if taken and others:
            yield True, f"its {kind} is {', '.join(others)}, and the channel takes {', '.join(taken)}; encode it so"
    streams = len(facts.audio_codecs)
    if rules.most_audio_streams is not None and streams > rules.most_audio_streams:
        yield True, f"it has {streams} streams of sound, and the channel takes one at most; leave the others out"

"""Read from a file's headers what the channels' rules ask for, with Pillow and MediaInfo, and judge it.

Both come with the extra ``channels`` of this package. Neither decodes anything; both read from the open source, so a
file of an object store is not fetched whole. MediaInfo, because it reads an MP4's boxes, and tells one that is cut off,
in a library of 15 MB; the bindings to FFmpeg are several times as large.
"""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_media._api.channels import ChannelFindings, MediaFacts, judge
from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media._api.source import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_media._api.source import Source

_COLOURS = {"L": "greyscale", "LA": "greyscale", "I": "greyscale", "I;16": "greyscale", "1": "black and white"}
_COLOURS |= {"I;16B": "greyscale", "P": "palette", "PA": "palette", "YCbCr": "RGB"}
_CODECS = {"AVC": "H.264", "HEVC": "H.265", "MPEG-4 Visual": "MPEG-4 part 2"}

_PNG_HEAD_BYTES = 33
_PNG_BITS_AT = 24
"""Where a PNG tells its bit depth (PNG specification, 11.2.1); Pillow does not tell it of 16-bit colours."""


def check_channels(source: Source, mime_type: str, channels: Sequence[str]) -> ChannelFindings:
    """Say all that speaks against sending a file on some channels.

    :param source: the file; its headers are read.
    :param mime_type: found from its first bytes.
    :param channels: their names, as :func:`~airflow_provider_media._api.channels.channels_of` gives them.
    :raises Problem: of kind CONFIGURATION when the libraries are missing; of kind FILE when reading the source fails.
    """
    if not channels:
        return ChannelFindings()
    read = _video_facts if mime_type == "video/mp4" else _image_facts
    with source.opened() as stream, reading(source.label):
        window = io.BufferedReader(_Window(stream, source.size))
        try:
            facts = read(window, mime_type, source.size)
        except _UnreadableError as error:
            return ChannelFindings((f"{source.label} cannot be sent on any channel: {error}.",))
    return judge(source.label, facts, channels)


class _UnreadableError(Exception):
    """The file is not what its first bytes promise."""


class _Window(io.RawIOBase):
    """A stream from where it stands, as one that begins there; libraries seek from the start.

    :param stream: open, and seekable.
    :param size: how many bytes there are from there on.
    """

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._start = stream.tell()
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._stream.seek(self._start + self._at)
        data = self._stream.read(wanted) if wanted else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _image_facts(stream: IO[bytes], mime_type: str, size: int) -> MediaFacts:
    with _library("pillow"):
        from PIL import Image, UnidentifiedImageError
    head = stream.read(_PNG_HEAD_BYTES)
    stream.seek(0)
    try:
        with Image.open(stream, formats=[mime_type.removeprefix("image/").upper()]) as image:
            width, height, mode = image.width, image.height, image.mode
            image.verify()  # the checksums of a PNG; nothing more of the others
    except Image.DecompressionBombError as error:
        raise _UnreadableError(f"it claims to have more pixels than any picture ({error})") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise _UnreadableError(f"it is damaged, or no image ({error})") from error
    bits = head[_PNG_BITS_AT] if mime_type == "image/png" and len(head) == _PNG_HEAD_BYTES else 8
    return MediaFacts(
        mime_type=mime_type,
        size=size,
        width=width,
        height=height,
        colours=_COLOURS.get(mode, mode),
        bits=bits,
    )


def _video_facts(stream: IO[bytes], mime_type: str, size: int) -> MediaFacts:
    with _library("pymediainfo"):
        from pymediainfo import MediaInfo

        if not MediaInfo.can_parse():
            raise ImportError("its library is missing")
    tracks = MediaInfo.parse(stream).tracks
    if any(track.istruncated == "Yes" for track in tracks):
        raise _UnreadableError("its end is missing: copy it again")
    videos = [track for track in tracks if track.track_type == "Video"]
    sounds = [track for track in tracks if track.track_type == "Audio"]
    return MediaFacts(
        mime_type=mime_type,
        size=size,
        width=videos[0].width if videos else None,
        height=videos[0].height if videos else None,
        video_codecs=tuple(_codec(track) for track in videos),
        audio_codecs=tuple(_codec(track) for track in sounds),
    )


def _codec(track: Any) -> str:
    name = str(track.format or track.codec_id or "unknown")
    return _CODECS.get(name, name)


@contextmanager
def _library(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise Problem(
            Kind.CONFIGURATION,
            f"channels needs {name}, which is not there ({error}): pip install 'airflow-provider-media[channels]'.",
        ) from error

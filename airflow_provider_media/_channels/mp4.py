"""Reads which streams an MP4 file has, from its boxes (ISO/IEC 14496-12; for MPEG-4 sound, 14496-1).

What is asked is on one path of boxes: moov / trak / tkhd, mdia / hdlr, mdia / minf / stbl / stsd. No library fits that
(looked at in November 2026). MediaInfo, 15 MB of native code by way of pymediainfo, last released in February 2025, was
tried: it was still busy after two minutes with a file of 14 MB that claims 20,000 streams. PyAV, well kept, brings all
of FFmpeg. pymp4 was last released in 2023; mutagen and tinytag read sound only; hachoir is under the GPL.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_media._channels.reader import DamagedFileError
from airflow_provider_media._channels.rules import MediaFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_media._channels.reader import Reader

_CODECS = {
    **dict.fromkeys((b"avc1", b"avc2", b"avc3", b"avc4"), "H.264"),
    **dict.fromkeys((b"hvc1", b"hev1"), "H.265"),
    **dict.fromkeys((b"encv", b"enca"), "encrypted"),
    b"av01": "AV1",
    b"vp09": "VP9",
    b"Opus": "Opus",
    b"ac-3": "AC-3",
    b"ec-3": "E-AC-3",
    b".mp3": "MP3",
    b"alac": "ALAC",
    b"fLaC": "FLAC",
    b"samr": "AMR",
}
"""By the four letters of a sample entry (the registry is at mp4ra.org)."""

_OBJECT_TYPES = {
    **dict.fromkeys((0x40, 0x66, 0x67, 0x68), "AAC"),
    **dict.fromkeys((0x69, 0x6B), "MP3"),
    0x20: "MPEG-4 Visual",
    0x21: "H.264",
    0xA5: "AC-3",
}
"""What the entries mp4a and mp4v hold, by the object type that stands in them."""

_CONTENT = {b"mdat", b"imda"}
_MAX_STREAMS = 50
_MAX_FORMATS = 50
_ENTRY_BYTES = 64 * 1024
_QUARTER_TURN = (0, 0)


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    end: int


def video_facts(reader: Reader) -> MediaFacts:
    """Read the boxes that describe the streams; the movie's box may stand at the end of the file.

    :raises DamagedFileError: boxes are missing, end behind the file's end, or make no sense.
    """
    outer = {box.kind: box for box in _boxes(reader, 0, reader.size)}
    if b"moov" not in outer:
        raise DamagedFileError("it has no index, which is often written last")
    if not outer.keys() & _CONTENT:
        raise DamagedFileError("it has an index, but no content")
    tracks = [box for box in _boxes(reader, outer[b"moov"].start, outer[b"moov"].end) if box.kind == b"trak"]
    if len(tracks) > _MAX_STREAMS:
        raise DamagedFileError(f"it claims to have {len(tracks):,} streams")
    by_handler: dict[bytes, list[_Box]] = {b"vide": [], b"soun": []}
    for track in tracks:
        handler = _payload(reader, _find(reader, track, b"mdia", b"hdlr"), 12)[8:]
        by_handler.get(handler, []).append(track)
    videos, sounds = by_handler[b"vide"], by_handler[b"soun"]
    width, height = _shown_size(reader, videos[0]) if videos else (None, None)
    return MediaFacts(
        mime_type="video/mp4",
        size=reader.size,
        width=width,
        height=height,
        video_codecs=tuple(_codecs(reader, track) for track in videos),
        audio_codecs=tuple(_codecs(reader, track) for track in sounds),
    )


def _boxes(reader: Reader, start: int, end: int) -> Iterator[_Box]:
    """Walk the boxes between two positions: a size, four letters, the content."""
    while end - start >= 8:  # noqa: PLR2004 - the shortest box
        reader.seek(start)
        size, kind = struct.unpack(">I4s", reader.take(8))
        head = 8
        if size == 1:
            size, head = int.from_bytes(reader.take(8), "big"), 16
        elif size == 0:
            size = end - start
        if size < head:
            raise DamagedFileError(f"its box {_name(kind)} at byte {start} has no sensible size")
        if size > end - start:
            raise DamagedFileError(f"it ends within its box {_name(kind)}, which begins at byte {start}")
        yield _Box(kind, start + head, start + size)
        start += size


def _find(reader: Reader, box: _Box, *path: bytes) -> _Box:
    for kind in path:
        found = next((inner for inner in _boxes(reader, box.start, box.end) if inner.kind == kind), None)
        if found is None:
            raise DamagedFileError(f"a stream has no {_name(kind)} box")
        box = found
    return box


def _payload(reader: Reader, box: _Box, count: int) -> bytes:
    """Read the first bytes of a box."""
    if box.end - box.start < count:
        raise DamagedFileError(f"its box {_name(box.kind)} is too short")
    reader.seek(box.start)
    return reader.take(count)


def _shown_size(reader: Reader, track: _Box) -> tuple[int, int]:
    """Read width and height behind the matrix that turns the picture; before it stand times, of two lengths."""
    header = _find(reader, track, b"tkhd")
    matrix_at = 52 if _payload(reader, header, 1) == b"\x01" else 40
    numbers = struct.unpack(">9i2I", _payload(reader, header, matrix_at + 44)[matrix_at:])
    width, height = numbers[9] >> 16, numbers[10] >> 16
    return (height, width) if (numbers[0], numbers[4]) == _QUARTER_TURN else (width, height)


def _codecs(reader: Reader, track: _Box) -> str:
    """Name the format of a stream's samples; there may be more than one."""
    table = _find(reader, track, b"mdia", b"minf", b"stbl", b"stsd")
    entries = list(islice(_boxes(reader, table.start + 8, table.end), _MAX_FORMATS))
    if not entries:
        raise DamagedFileError("a stream does not say its format")
    return " and ".join(dict.fromkeys(_codec(reader, entry) for entry in entries))


def _codec(reader: Reader, entry: _Box) -> str:
    if entry.kind in {b"mp4a", b"mp4v"}:
        object_type = _object_type(_payload(reader, entry, min(entry.end - entry.start, _ENTRY_BYTES)))
        return _OBJECT_TYPES.get(object_type, f"{_name(entry.kind)} of the object type {object_type:#x}")
    return _CODECS.get(entry.kind, _name(entry.kind))


def _object_type(entry: bytes) -> int:
    """Find the object type in an entry's elementary stream descriptor (14496-1, 7.2.6); 0 without one.

    Its box is looked for by name: QuickTime's three forms of the entry have it in different places.
    """
    descriptor = io.BytesIO(entry.partition(b"esds")[2][4:])
    _skip_tag_and_length(descriptor)
    flags = descriptor.read(3)[-1:] or b"\0"
    descriptor.read(2 if flags[0] & 0x80 else 0)  # the stream that this one depends on
    descriptor.read((descriptor.read(1) or b"\0")[0] if flags[0] & 0x40 else 0)  # an address
    descriptor.read(2 if flags[0] & 0x20 else 0)  # the stream of the clock
    _skip_tag_and_length(descriptor)
    return int.from_bytes(descriptor.read(1), "big")


def _skip_tag_and_length(descriptor: io.BytesIO) -> None:
    """Skip a descriptor's tag, and its length, which goes on while the highest bit is set."""
    descriptor.read(1)
    while (descriptor.read(1) or b"\0")[0] & 0x80:
        pass


def _name(kind: bytes) -> str:
    return ascii(kind.decode("latin-1"))

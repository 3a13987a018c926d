"""Read the streams of an MP4 file from its boxes, and check that it is complete (ISO/IEC 14496-12, -14 and -15).

The boxes read are on one path: moov / trak / tkhd, mdia / hdlr, mdia / minf / stbl / stsd. Libraries reviewed in
November 2026: pymediainfo (15 MB of native code, last release February 2025) needed more than two minutes for a file of
14 MB that claims 20,000 streams; PyAV includes all of FFmpeg; the last release of pymp4 is from 2023; mutagen and
tinytag read audio only; hachoir is under the GPL.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from airflow_provider_media._channels.reader import CorruptFileError, InvalidFileError
from airflow_provider_media._channels.rules import H264Info, MediaInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_media._channels.reader import Reader

_CODECS = {
    **dict.fromkeys((b"avc1", b"avc2", b"avc3", b"avc4"), "H.264"),
    **dict.fromkeys((b"hvc1", b"hev1", b"hvc2", b"hev2", b"hvt1"), "H.265"),
    **dict.fromkeys((b"dvh1", b"dvhe", b"dva1", b"dvav", b"dav1"), "Dolby Vision"),
    **dict.fromkeys((b"vvc1", b"vvi1"), "H.266"),
    **dict.fromkeys((b"apch", b"apcn", b"apcs", b"apco", b"ap4h", b"ap4x"), "ProRes"),
    **dict.fromkeys((b"jpeg", b"mjpa", b"mjpb"), "Motion JPEG"),
    **dict.fromkeys((b"s263", b"h263"), "H.263"),
    b"av01": "AV1",
    b"vp08": "VP8",
    b"vp09": "VP9",
    b"Opus": "Opus",
    b"ac-3": "AC-3",
    b"ac-4": "AC-4",
    b"ec-3": "E-AC-3",
    b"mlpa": "TrueHD",
    b".mp3": "MP3",
    b"alac": "ALAC",
    b"fLaC": "FLAC",
    b"samr": "AMR",
    b"sawb": "AMR-WB",
    **dict.fromkeys((b"dtsc", b"dtse", b"dtsh", b"dtsl", b"dtsx"), "DTS"),
    **dict.fromkeys((b"lpcm", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"ipcm", b"fpcm"), "PCM"),
}
"""By the type of a sample entry (registry: mp4ra.org)."""

_OBJECT_TYPES = {
    **dict.fromkeys((0x40, 0x66, 0x67, 0x68), "AAC"),
    **dict.fromkeys((0x69, 0x6B), "MP3"),
    0x20: "MPEG-4 Visual",
    0x21: "H.264",
    0xA5: "AC-3",
    0xA6: "E-AC-3",
    0xA9: "DTS",
    0xAD: "Opus",
}
"""The codecs of mp4a and mp4v entries, by their object type."""

_ENCRYPTED = {b"encv", b"enca", b"enct", b"drms", b"drmi"}
_CONTENT = {b"mdat", b"imda"}
_TOP_LEVEL = _CONTENT | set(
    b"ftyp moov moof mfra free skip wide uuid meta sidx ssix styp emsg pdin prft udta meco pssh".split()
)
_INNER = set(b"cmov trak stco co64 traf tfhd trun".split())
_MAX_TRACKS = 50
_MAX_FORMATS = 50
_MAX_FRAGMENTS_READ = 4
_TABLE_BYTES = 64 * 1024
_MATRIX_OF_QUARTER_TURN = (0, 0)
_HAS_COMPOSITION_OFFSETS = 0x800


@dataclass(frozen=True, slots=True)
class _Box:
    """A box: its start, and the start and end of its content."""

    kind: bytes
    at: int
    start: int
    end: int


def read_video(reader: Reader) -> MediaInfo:
    """Read the boxes that describe the streams; the index may be at the end of the file."""
    index, content_at, fragments = _read_outline(reader)
    inner = _boxes_by_kind(reader, index)
    if b"cmov" in inner:
        raise InvalidFileError(
            "an MP4 with a compressed index (cmov), which phones and browsers do not play",
            "Rewrite it: ffmpeg -i IN -c copy -movflags +faststart OUT",
        )
    boxes = inner.get(b"trak", [])
    if len(boxes) > _MAX_TRACKS:
        raise InvalidFileError(f"an MP4 that claims to have more than {_MAX_TRACKS} tracks")
    by_handler: dict[bytes, list[_Box]] = {b"vide": [], b"soun": []}
    for track in boxes:
        _check_samples(reader, track)
        handler = _payload(reader, _need(reader, track, b"mdia", b"hdlr"), 12)[8:]
        by_handler.get(handler, []).append(track)
    videos, sounds = by_handler[b"vide"], by_handler[b"soun"]
    width, height = _shown_size(reader, videos[0]) if videos else (None, None)
    video_tracks = [_read_track(reader, track) for track in videos]
    audio_tracks = [_read_track(reader, track) for track in sounds]
    return MediaInfo(
        mime_type="video/mp4",
        size=reader.size,
        width=width,
        height=height,
        video_codecs=tuple(codec for codec, _, _ in video_tracks),
        audio_codecs=tuple(codec for codec, _, _ in audio_tracks),
        is_encrypted=any(is_encrypted for _, is_encrypted, _ in [*video_tracks, *audio_tracks]),
        h264=tuple(info for _, _, infos in video_tracks for info in infos),
        has_b_frames=any(_reorders(reader, track, fragments) for track in videos),
        is_index_first=index.at < content_at,
    )


def _read_outline(reader: Reader) -> tuple[_Box, int, list[_Box]]:
    """Walk the top-level boxes; return the index, the position of the media data, and the first fragments.

    The first bytes that are no box end the walk, because tools and cameras append text and padding.
    """
    boxes: dict[bytes, list[_Box]] = {}
    at, last = 0, b""
    while at + 8 <= reader.size:
        box = _box_at(reader, at, reader.size)
        if box is None or (box.kind not in _TOP_LEVEL and box.end > reader.size):
            break
        if box.end > reader.size:
            raise reader.truncated(f"{_name(box.kind)} box")
        if box.kind in _TOP_LEVEL and len(several := boxes.setdefault(box.kind, [])) < _MAX_FRAGMENTS_READ:
            several.append(box)
        if box.kind in _CONTENT or box.kind == b"moof":
            last = box.kind
        at = box.end
    index, fragments = boxes.get(b"moov", [None])[0], boxes.get(b"moof", [])
    contents = [box.at for kind in (*_CONTENT, b"moof") for box in boxes.get(kind, ())]
    if last == b"moof":
        raise CorruptFileError(f"truncated: it ends at byte {reader.size:,}, between a moof box and its mdat box")
    if index is None and not contents and at + 8 <= reader.size:
        raise InvalidFileError("not an MP4 video, although it starts like one")
    if index is None:
        still_image = InvalidFileError("a still image in an MP4 container", "Convert it to JPEG or PNG.")
        no_index = CorruptFileError("truncated: it has no index (moov box), which is often written last")
        raise still_image if b"meta" in boxes else no_index
    if not contents:
        raise CorruptFileError(f"truncated: it ends at byte {reader.size:,}, without media data (mdat box)")
    return index, min(contents), fragments


def _box_at(reader: Reader, at: int, end: int) -> _Box | None:
    """Read a box's header: a size and a type; None if it is not a box."""
    size, kind = struct.unpack(">I4s", reader.read(at, 8))
    head = 8
    if size == 1 and at + 16 <= end:
        size, head = int.from_bytes(reader.read(at + 8, 8), "big"), 16
    elif size == 0 and kind != bytes(4):
        size = end - at
    return _Box(kind, at, at + head, at + size) if size >= head else None


def _boxes(reader: Reader, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes within another box."""
    while end - start >= 8:  # noqa: PLR2004 - the shortest box
        box = _box_at(reader, start, end)
        if box is None and not any(reader.read(start, 4)):
            return  # QuickTime ends some lists of boxes with zeros
        if box is None or box.end > end:
            raise CorruptFileError(f"corrupt: the box at byte {start:,} has an impossible size")
        yield box
        start = box.end


def _boxes_by_kind(reader: Reader, box: _Box) -> dict[bytes, list[_Box]]:
    """Return the boxes of the types that are read; at most some of each, to bound memory."""
    found: dict[bytes, list[_Box]] = {}
    for inner in _boxes(reader, box.start, box.end):
        if inner.kind in _INNER and len(several := found.setdefault(inner.kind, [])) <= _MAX_TRACKS:
            several.append(inner)
    return found


def _find(reader: Reader, box: _Box, *path: bytes) -> _Box | None:
    for kind in path:
        found = next((inner for inner in _boxes(reader, box.start, box.end) if inner.kind == kind), None)
        if found is None:
            return None
        box = found
    return box


def _need(reader: Reader, box: _Box, *path: bytes) -> _Box:
    found = _find(reader, box, *path)
    if found is None:
        raise InvalidFileError(f"an MP4 with an incomplete index: a track has no {_name(path[-1])} box")
    return found


def _payload(reader: Reader, box: _Box, count: int) -> bytes:
    """Read the first bytes of a box."""
    if box.end - box.start < count:
        raise CorruptFileError(f"corrupt: its {_name(box.kind)} box at byte {box.at:,} is too short")
    return reader.read(box.start, count)


def _table(reader: Reader, box: _Box) -> bytes:
    """Read a box, at most ``_TABLE_BYTES``."""
    return reader.read(box.start, min(box.end - box.start, _TABLE_BYTES))


def _check_samples(reader: Reader, track: _Box) -> None:
    """Check that the track's last chunk starts within the file, because a media data box may have no size."""
    samples = _find(reader, track, b"mdia", b"minf", b"stbl")
    tables = _boxes_by_kind(reader, samples) if samples else {}
    for kind, width in ((b"stco", 4), (b"co64", 8)):
        for table in tables.get(kind, ()):
            count = min(int.from_bytes(_payload(reader, table, 8)[4:], "big"), (table.end - table.start - 8) // width)
            last = reader.read(table.start + 8 + width * (count - 1), width) if count else b""
            if int.from_bytes(last, "big") >= reader.size:
                raise CorruptFileError(f"truncated: it ends at byte {reader.size:,}, before its last samples")


def _shown_size(reader: Reader, track: _Box) -> tuple[int, int]:
    """Read width and height, which follow the rotation matrix; the times before it have two possible lengths."""
    header = _need(reader, track, b"tkhd")
    matrix_at = 52 if _payload(reader, header, 1) == b"\x01" else 40
    numbers = struct.unpack(">9i2I", _payload(reader, header, matrix_at + 44)[matrix_at:])
    width, height = numbers[9] >> 16, numbers[10] >> 16
    return (height, width) if (numbers[0], numbers[4]) == _MATRIX_OF_QUARTER_TURN else (width, height)


def _read_track(reader: Reader, track: _Box) -> tuple[str, bool, list[H264Info]]:
    """Read the formats of a track's samples: codecs, whether they are encrypted, and the parameters of H.264."""
    table = _need(reader, track, b"mdia", b"minf", b"stbl", b"stsd")
    entries = list(islice(_boxes(reader, table.start + 8, table.end), _MAX_FORMATS))
    if not entries:
        raise InvalidFileError("an MP4 with an incomplete index: a track does not say its format")
    contents = [(entry.kind, _table(reader, entry)) for entry in entries]
    configurations = [read_avc_configuration(_child(content, b"avcC") or b"") for _, content in contents]
    codec = " and ".join(dict.fromkeys(_codec(kind, content) for kind, content in contents))
    is_encrypted = any(kind in _ENCRYPTED or _child(content, b"sinf") is not None for kind, content in contents)
    return codec, is_encrypted, [info for info in configurations if info]


def _child(content: bytes, kind: bytes) -> bytes | None:
    """Find a box in a sample entry by its type; its position differs between QuickTime's three versions of an entry."""
    at = content.find(kind)
    while at >= len("size"):
        size = int.from_bytes(content[at - 4 : at], "big")
        if 8 <= size <= len(content) - at + 4:  # noqa: PLR2004 - the shortest box
            return content[at + 4 : at - 4 + size]
        at = content.find(kind, at + 1)
    return None


def _codec(kind: bytes, content: bytes) -> str:
    if kind in _ENCRYPTED:
        kind = (_child(_child(content, b"sinf") or b"", b"frma") or kind)[:4]
    if kind in {b"mp4a", b"mp4v"}:
        object_type = _object_type(_child(content, b"esds") or b"")
        return _OBJECT_TYPES.get(object_type, f"{_name(kind)} of the object type {object_type:#x}")
    return _CODECS.get(kind, _name(kind))


def _object_type(box: bytes) -> int:
    """Find the object type in an elementary stream descriptor (14496-1, 7.2.6); 0 without one."""
    descriptor = io.BytesIO(box[4:])
    _skip_tag_and_length(descriptor)
    flags = descriptor.read(3)[-1:] or b"\0"
    descriptor.read(2 if flags[0] & 0x80 else 0)  # the stream that this one depends on
    descriptor.read((descriptor.read(1) or b"\0")[0] if flags[0] & 0x40 else 0)  # an address
    descriptor.read(2 if flags[0] & 0x20 else 0)  # the stream of the clock
    _skip_tag_and_length(descriptor)
    return int.from_bytes(descriptor.read(1), "big")


def _skip_tag_and_length(descriptor: io.BytesIO) -> None:
    """Skip a descriptor's tag, and its length, which continues while the highest bit is set."""
    descriptor.read(1)
    while (descriptor.read(1) or b"\0")[0] & 0x80:
        pass


def _reorders(reader: Reader, track: _Box, fragments: list[_Box]) -> bool:
    """Return whether frames are displayed in another order than they are stored in, as with B-frames.

    Then the offset between decoding and display time varies, in ``ctts`` or in a fragment's ``trun``.
    """
    table = _find(reader, track, b"mdia", b"minf", b"stbl", b"ctts")
    if table and len(set(_numbers(_table(reader, table)[8:], width=8, at=4))) > 1:
        return True
    header = _need(reader, track, b"tkhd")
    at = 20 if _payload(reader, header, 1) == b"\x01" else 12
    number = _payload(reader, header, at + 4)[at:]
    offsets = [offset for fragment in fragments for offset in _fragment_offsets(reader, fragment, number)]
    return len(set(offsets)) > 1


def _fragment_offsets(reader: Reader, fragment: _Box, track_number: bytes) -> Iterator[int]:
    for part in _boxes_by_kind(reader, fragment).get(b"traf", []):
        inner = _boxes_by_kind(reader, part)
        if any(_payload(reader, header, 8)[4:] == track_number for header in inner.get(b"tfhd", [])):
            for run in inner.get(b"trun", []):
                content = _table(reader, run)
                flags = int.from_bytes(content[1:4], "big")
                if flags & _HAS_COMPOSITION_OFFSETS:
                    start = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
                    before = 4 * sum(bool(flags & flag) for flag in (0x100, 0x200, 0x400))
                    yield from _numbers(content[start:], width=before + 4, at=before)


def _numbers(content: bytes, *, width: int, at: int) -> Iterator[int]:
    """Yield one number from each row of a table."""
    for start in range(at, len(content) - 3, width):
        yield int.from_bytes(content[start : start + 4], "big")


def _name(kind: bytes) -> str:
    return kind.decode() if kind.isalnum() else ascii(kind.decode("latin-1"))


_PROFILES = {
    66: "Baseline",
    77: "Main",
    88: "Extended",
    100: "High",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4 Predictive",
    44: "CAVLC 4:4:4 Intra",
    118: "Multiview High",
    128: "Stereo High",
}
_WITH_CHROMA_FORMAT = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
_CHROMA_FORMATS = ("4:0:0", "4:2:0", "4:2:2", "4:4:4")
_SEQUENCE_PARAMETER_SET = 7


def read_avc_configuration(content: bytes) -> H264Info | None:
    """Read an ``avcC`` box (ISO/IEC 14496-15, 5.3.3.1); None if it is too short.

    Bit depth and chroma format are read from the sequence parameter set, because many writers omit the box's own
    fields for them.
    """
    if len(content) < len(b"\1PPL\xff\xe1"):
        return None
    profile, level = content[1], content[3]
    bits, chroma = 8, "4:2:0"
    length = int.from_bytes(content[6:8], "big")
    unit = content[8 : 8 + length]
    if content[5] & 0x1F and len(unit) > len(b"NPCL") and unit[0] & 0x1F == _SEQUENCE_PARAMETER_SET:
        profile, level = unit[1], unit[3]
        if profile in _WITH_CHROMA_FORMAT:
            bits, chroma = _sample_format(unit[4:])
    return H264Info(_PROFILES.get(profile, f"profile {profile}"), f"{level // 10}.{level % 10}", bits, chroma)


def _sample_format(data: bytes) -> tuple[int, str]:
    """Read bit depth and chroma format from the first bytes."""
    # Without the bytes that keep a start code from appearing (7.4.1).
    bits = iter("".join(f"{byte:08b}" for byte in data[:32].replace(b"\0\0\3", b"\0\0")))

    def number() -> int:
        """Read an Exponential-Golomb number: a prefix of zeros, a one, and as many bits (9.1); zeros end the data."""
        zeros = sum(1 for _ in takewhile("0".__eq__, bits))
        return (1 << zeros) - 1 + int("0" + "".join(next(bits, "0") for _ in range(zeros)), 2)

    number()  # seq_parameter_set_id
    chroma = number()
    if chroma == len(_CHROMA_FORMATS) - 1:
        next(bits, None)  # separate_colour_plane_flag
    luma_bits, chroma_bits = 8 + number(), 8 + number()
    name = _CHROMA_FORMATS[chroma] if chroma < len(_CHROMA_FORMATS) else f"chroma format {chroma}"
    return max(luma_bits, chroma_bits), name

"""Checks before an upload: the headers of images and videos, and whether a file is complete, without decoding it.

Images: JPEG (ITU T.81), PNG (its specification, 3rd edition) and GIF (GIF89a). Bytes after the end of an image are
accepted, because phones, cameras and editors append data. Pillow is not used, because limits that protect its decoder
reject valid files (a comment of 1.3 MB, 12 bits per color), and because its Exif reader has no memory limit.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from airflow_provider_media._channels.mp4 import read_video
from airflow_provider_media._channels.reader import CorruptFileError, InvalidFileError, Reader
from airflow_provider_media._channels.rules import ChannelReport, MediaInfo, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_media._upload.source import Source

_END_OF_JPEG = b"\xff\xd9"
_END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"
_EXTENSION = 0x21
_IMAGE = 0x2C


def check_file(source: Source, mime_type: str, channels: Sequence[str], *, check_integrity: bool) -> ChannelReport:
    """Return the errors and warnings of a file.

    :param check_integrity: whether a truncated or corrupt file is an error also without channels; otherwise a warning.
    """
    try:
        info = inspect(source, mime_type, checksums=check_integrity or bool(channels))
    except CorruptFileError as error:
        is_error = channels or check_integrity
        return ChannelReport((str(error),)) if is_error else ChannelReport((), (str(error),))
    except InvalidFileError as error:
        return ChannelReport((str(error),)) if channels else ChannelReport()
    return validate(info, channels)


def check_header(reader: Reader, mime_type: str, channels: Sequence[str]) -> ChannelReport:
    """Return what a file's headers show of the channels' rules; the rest is not read."""
    try:
        info = read_video(reader) if mime_type == "video/mp4" else read_image(reader, mime_type)[0]
    except InvalidFileError as error:
        return ChannelReport((str(error),))
    return validate(info, channels)


def inspect(source: Source, mime_type: str, *, checksums: bool) -> MediaInfo:
    """Read a file's headers, and check that it is complete; the checksums of a PNG take reading the whole file."""
    with source.open_for_checks() as stream:
        reader = Reader(source.label, stream, source.size)
        if mime_type == "video/mp4":
            return read_video(reader)
        info, content = read_image(reader, mime_type)
        if mime_type == "image/png":
            _check_png(reader, content, checksums=checksums)
        elif mime_type == "image/gif":
            _check_gif(reader, content)
        else:
            _check_jpeg(reader, content)
        return info


def _check_png(reader: Reader, at: int, *, checksums: bool) -> None:
    """Walk the chunks: a length, a name, the content, the checksum of the latter two (5.3).

    A wrong checksum of an ancillary chunk (a lower-case name) is accepted, because decoders skip such a chunk.
    """
    if not checksums and reader.read(reader.size - len(_END_OF_PNG), len(_END_OF_PNG)) == _END_OF_PNG:
        return
    name = b""
    while name != b"IEND":
        head = reader.read(at, 8, "chunks")
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if not name.isalpha():
            raise CorruptFileError(f"corrupt: no chunk begins at byte {at:,}")
        end = at + 8 + length
        if end + 4 > reader.size:
            raise reader.truncated(f"{name.decode()} chunk")
        if checksums and name[:1].isupper():
            checksum = zlib.crc32(name)
            for block in reader.blocks(at + 8, end):
                checksum = zlib.crc32(block, checksum)
            if int.from_bytes(reader.read(end, 4), "big") != checksum:
                raise CorruptFileError(f"corrupt: the checksum of its {name.decode()} chunk is wrong")
        at = end + 4


def _check_jpeg(reader: Reader, at: int) -> None:
    """Find the end-of-image marker, usually at the end of the file (ITU T.81, annex B).

    Within the pixel data, its two bytes have no other meaning; within an earlier segment, a thumbnail may contain them.
    """
    if reader.size >= at + 2 and reader.read(reader.size - 2, 2) == _END_OF_JPEG:
        return
    last = b""
    for block in reader.blocks(at, reader.size):
        if _END_OF_JPEG in last + block:
            return
        last = block[-1:]
    raise reader.truncated("pixels")


def _check_gif(reader: Reader, at: int) -> None:
    """Walk the blocks (GIF89a, appendix A).

    As in browsers, a file without a trailer is accepted, and anything that is not a block ends the file, provided that
    an image precedes it.
    """
    has_image = False
    while at < reader.size:
        kind = reader.read(at, 1)[0]
        if not kind:  # stray zeros
            at = _skip_zeros(reader, at)
        elif kind == _EXTENSION:
            at = _skip_sub_blocks(reader, at + 2)
        elif kind == _IMAGE:
            flags = reader.read(at + 9, 1, "frames")[0]
            at = _skip_sub_blocks(reader, at + 10 + color_table_bytes(flags) + 1)
            has_image = True
        elif has_image:
            return
        else:
            raise InvalidFileError("a GIF file without an image")
    if not has_image:
        raise reader.truncated("headers")


def _skip_zeros(reader: Reader, at: int) -> int:
    while True:
        block, index = reader.window(at)
        rest = len(block[index:].lstrip(b"\0"))
        if rest or not block:
            return at + len(block) - index - rest
        at += len(block) - index


def _skip_sub_blocks(reader: Reader, at: int) -> int:
    """Return the position after a chain of sub-blocks: each has a length and that many bytes; the last has length 0."""
    while True:
        block, start = reader.window(at)
        index, size = start, len(block)
        if not size:
            raise reader.truncated("frames")
        while index < size:
            length = block[index]
            index += length + 1
            if not length:
                return at + index - start
        at += index - start


_MARKER = 0xFF
_STANDALONE = {0x01, *range(0xD0, 0xD8)}  # TEM and the restart markers: without a length
_START_OF_IMAGE = 0xD8
_END_OF_IMAGE = 0xD9
_START_OF_SCAN = 0xDA
_APP1 = 0xE1
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # those three are tables
_RARE_FRAMES = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA), "arithmetic-coded"),
}
_JPEG_COLORS = {1: "grayscale", 3: "RGB", 4: "CMYK"}
_JPEG_BITS = 8

_EXIF = b"Exif\0\0"
_ORIENTATION = 0x0112
_SHORT = 3
_QUARTER_TURNS = (5, 6, 7, 8)
"""The Exif orientations that rotate a photo by 90 degrees."""

_MAX_JUNK_BYTES = 64 * 1024
"""Between two segments of a JPEG; decoders skip it."""

_PNG_COLORS = {0: "grayscale", 2: "RGB", 3: "palette", 4: "grayscale", 6: "RGBA"}
_PNG_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def read_image(reader: Reader, mime_type: str) -> tuple[MediaInfo, int]:
    """Read the headers of a JPEG, PNG or GIF image; return its properties and the position after the headers."""
    return {"image/jpeg": _read_jpeg, "image/png": _read_png, "image/gif": _read_gif}[mime_type](reader)


def _read_jpeg(reader: Reader) -> tuple[MediaInfo, int]:
    """Walk the segments up to the pixel data (annex B)."""
    frame: tuple[int, bytes] | None = None
    turned = False
    at = 2
    while True:
        kind, at = _next_marker(reader, at)
        if kind in _STANDALONE or kind == _START_OF_IMAGE:
            continue
        if kind == _END_OF_IMAGE:
            raise InvalidFileError("a JPEG file without an image")
        length = int.from_bytes(reader.read(at, 2), "big")
        if kind in _FRAMES and frame is None:
            frame = kind, reader.read(at + 2, 6)
        elif kind == _APP1 and reader.read(at, min(length, 8))[2:] == _EXIF:
            turned = turned or _is_turned(reader.read(at + 8, max(0, length - 8)))
        if kind == _START_OF_SCAN:
            break
        at += max(length, 2)
    if frame is None:
        raise InvalidFileError("a JPEG file without a frame header")
    kind, (bits, *size, components) = frame[0], struct.unpack(">BHHB", frame[1])
    _reject_rare_jpeg(kind, bits)
    height, width = size
    if turned:
        height, width = width, height
    colors = _JPEG_COLORS.get(components, f"{components} color components")
    info = MediaInfo(
        mime_type="image/jpeg", size=reader.size, width=width, height=height or None, colors=colors, bits=bits
    )
    return info, at


def _next_marker(reader: Reader, at: int) -> tuple[int, int]:
    """Return the next marker's kind and the position after it; skip bytes between segments."""
    end = at + _MAX_JUNK_BYTES
    while at < end:
        first, kind = reader.read(at, 2)
        if first == _MARKER and kind not in (0, _MARKER):
            return kind, at + 2
        at += 1
        block, index = reader.window(at)
        found = block.find(_MARKER, index)
        at += (len(block) if found < 0 else found) - index
    raise InvalidFileError("not a JPEG image, although it starts like one")


def _reject_rare_jpeg(kind: int, bits: int) -> None:
    """Reject the kinds of JPEG that browsers and phones do not show."""
    sort = _RARE_FRAMES.get(kind) or ("" if bits == _JPEG_BITS else f"{bits}-bit")
    if sort:
        raise InvalidFileError(
            f"{'an' if sort[0] == 'a' else 'a'} {sort} JPEG, which phones and browsers do not show",
            "Export it as a baseline or progressive JPEG with 8 bits per channel.",
        )


def _is_turned(tiff: bytes) -> bool:
    """Return whether Exif data rotate the photo by 90 degrees (TIFF 6.0: header, first directory)."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < len("II*\0....."):
        return False
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    count = int.from_bytes(tiff[directory : directory + 2], "little" if order == "<" else "big")
    for start in range(directory + 2, min(directory + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, start)
        if tag == _ORIENTATION:
            return kind == _SHORT and value in _QUARTER_TURNS
    return False


def _read_png(reader: Reader) -> tuple[MediaInfo, int]:
    """Read the first chunk, which is the header (11.2.1)."""
    start = reader.read(8, min(8, reader.size - 8))
    if not start:
        raise InvalidFileError("a PNG file without an image")
    if start == b"\0\0\0\x04CgBI":
        raise InvalidFileError(
            "a PNG that Xcode optimized for iOS (CgBI), which only Apple devices show",
            "Revert it: xcrun -sdk iphoneos pngcrush -revert-iphone-optimizations IN OUT",
        )
    if start != b"\0\0\0\x0dIHDR"[: len(start)]:
        raise InvalidFileError("not a PNG image, although it starts like one")
    width, height, bits, colors, compression, filtering, interlacing = struct.unpack(">IIBBBBB", reader.read(16, 13))
    if (
        not 0 < width < 2**31
        or not 0 < height < 2**31
        or bits not in _PNG_BITS.get(colors, ())
        or (compression, filtering) != (0, 0)
        or interlacing > 1
    ):
        raise InvalidFileError("a PNG whose header (IHDR) has impossible values")
    info = MediaInfo(
        mime_type="image/png", size=reader.size, width=width, height=height, colors=_PNG_COLORS[colors], bits=bits
    )
    return info, 8


def _read_gif(reader: Reader) -> tuple[MediaInfo, int]:
    """Read the logical screen's descriptor (18)."""
    width, height, flags = struct.unpack("<HHB", reader.read(6, 7)[:5])
    info = MediaInfo(
        mime_type="image/gif", size=reader.size, width=width, height=height, colors="palette", bits=(flags & 7) + 1
    )
    return info, (13 + color_table_bytes(flags))


def color_table_bytes(flags: int) -> int:
    """Return the length of a GIF's color table (19)."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

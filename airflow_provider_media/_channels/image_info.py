"""Read the headers of images: JPEG (ITU T.81), PNG (its specification, 3rd edition) and GIF (GIF89a).

Pixels are not decoded. Pillow is not used, because limits that protect its decoder reject valid files (a comment of
1.3 MB, 12 bits per color), and because its Exif reader has no memory limit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_media._channels.reader import InvalidFileError
from airflow_provider_media._channels.rules import MediaInfo

if TYPE_CHECKING:
    from airflow_provider_media._channels.reader import Reader

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


@dataclass(frozen=True, slots=True)
class Layout:
    """The properties of an image, and where the part starts whose completeness is checked.

    :param info: the properties read from the headers.
    :param content: the position after the headers.
    """

    info: MediaInfo
    content: int


def read_image(reader: Reader, mime_type: str) -> Layout:
    """Read the headers of a JPEG, PNG or GIF image.

    :raises CorruptFileError: the file ends within them.
    :raises InvalidFileError: no channel accepts such an image, or the headers are invalid.
    """
    return {"image/jpeg": _read_jpeg, "image/png": _read_png, "image/gif": _read_gif}[mime_type](reader)


def _read_jpeg(reader: Reader) -> Layout:
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
    _check_jpeg(kind, bits)
    height, width = size
    if turned:
        height, width = width, height
    colors = _JPEG_COLORS.get(components, f"{components} color components")
    return Layout(
        MediaInfo(
            mime_type="image/jpeg", size=reader.size, width=width, height=height or None, colors=colors, bits=bits
        ),
        at,
    )


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


def _check_jpeg(kind: int, bits: int) -> None:
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


def _read_png(reader: Reader) -> Layout:
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
    return Layout(
        MediaInfo(
            mime_type="image/png", size=reader.size, width=width, height=height, colors=_PNG_COLORS[colors], bits=bits
        ),
        8,
    )


def _read_gif(reader: Reader) -> Layout:
    """Read the logical screen's descriptor (18)."""
    width, height, flags = struct.unpack("<HHB", reader.read(6, 7)[:5])
    info = MediaInfo(
        mime_type="image/gif", size=reader.size, width=width, height=height, colors="palette", bits=(flags & 7) + 1
    )
    return Layout(info, 13 + color_table_bytes(flags))


def color_table_bytes(flags: int) -> int:
    """Return the length of a GIF's color table (19)."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

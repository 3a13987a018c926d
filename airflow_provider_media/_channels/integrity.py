"""Checks that an image is complete, without decoding it.

Bytes after the end of an image are accepted, because phones, cameras and editors append data.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from airflow_provider_media._channels.image_info import color_table_bytes
from airflow_provider_media._channels.reader import CorruptFileError, InvalidFileError

if TYPE_CHECKING:
    from airflow_provider_media._channels.reader import Reader

_END_OF_JPEG = b"\xff\xd9"
_END_OF_PNG = b"\0\0\0\0IEND\xaeB`\x82"
_EXTENSION = 0x21
_IMAGE = 0x2C


def check_image_end(reader: Reader, mime_type: str, content: int, *, checksums: bool = True) -> None:
    """Check that an image is complete.

    :param content: the position after its headers.
    :param checksums: whether to verify those of a PNG, which reads the whole file.
    :raises CorruptFileError: it is truncated, or a checksum is wrong.
    :raises InvalidFileError: its segments are not those of its format.
    """
    if mime_type == "image/png":
        _check_png(reader, content, checksums=checksums)
    elif mime_type == "image/gif":
        _check_gif(reader, content)
    else:
        _check_jpeg(reader, content)


def _truncated(reader: Reader, part: str) -> CorruptFileError:
    return CorruptFileError(f"truncated: it ends at byte {reader.size:,}, within its {part}")


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
            raise _truncated(reader, f"{name.decode()} chunk")
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
    raise _truncated(reader, "pixels")


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
        raise _truncated(reader, "headers")


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
            raise _truncated(reader, "frames")
        while index < size:
            length = block[index]
            index += length + 1
            if not length:
                return at + index - start
        at += index - start

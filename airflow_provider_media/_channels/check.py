"""Checks before an upload that a file is complete, without decoding it, and that its channels accept it.

Bytes after the end of an image are accepted, because phones, cameras and editors append data.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from airflow_provider_media._channels.image_info import color_table_bytes, read_image
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

    :param source: the file; its headers are read, and the segments of an image.
    :param mime_type: detected from its first bytes.
    :param channels: their names, as :func:`~airflow_provider_media._channels.rules.channels_of` returns them.
    :param check_integrity: whether a truncated or corrupt file is an error also without channels; otherwise a warning.
    :raises MediaFileError: when reading the source fails.
    """
    try:
        info = inspect(source, mime_type, checksums=check_integrity or bool(channels))
    except CorruptFileError as error:
        is_error = channels or check_integrity
        return ChannelReport((error.sentences,)) if is_error else ChannelReport((), (error.sentences,))
    except InvalidFileError as error:
        return ChannelReport((error.sentences,)) if channels else ChannelReport()
    return validate(info, channels)


def check_header(reader: Reader, mime_type: str, channels: Sequence[str]) -> ChannelReport:
    """Return what a file's headers show of the channels' rules; the rest is not read."""
    try:
        info = read_video(reader) if mime_type == "video/mp4" else read_image(reader, mime_type).info
    except InvalidFileError as error:
        return ChannelReport((error.sentences,))
    return validate(info, channels)


def inspect(source: Source, mime_type: str, *, checksums: bool) -> MediaInfo:
    """Read a file's headers, and check that it is complete.

    :param checksums: whether to verify those of a PNG, which reads the whole file.
    :raises InvalidFileError: no channel accepts it.
    """
    with source.open_for_checks() as stream:
        reader = Reader(source.label, stream, source.size)
        if mime_type == "video/mp4":
            return read_video(reader)
        layout = read_image(reader, mime_type)
        _check_image_end(reader, mime_type, layout.content, checksums=checksums)
        return layout.info


def _check_image_end(reader: Reader, mime_type: str, content: int, *, checksums: bool = True) -> None:
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

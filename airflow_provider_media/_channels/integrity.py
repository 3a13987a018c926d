"""Tells whether an image is there to its end, without decoding it.

A PNG has checksums, which are computed. Most JPEG and GIF files end with the mark that their format ends with; where
something stands behind it, as phones and editors add, the parts of the file are walked to find it.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from airflow_provider_media._channels.reader import DamagedFileError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media._channels.reader import Reader

_MARKER = 0xFF
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"


def check_ending(reader: Reader, mime_type: str) -> None:
    """See that an image does not end too early.

    :raises DamagedFileError: it does, or a checksum is wrong.
    """
    if mime_type == "image/png":
        _check_png(reader)
        return
    mark, walk = _ENDINGS[mime_type]
    reader.seek(-len(mark), os.SEEK_END)
    if reader.read(len(mark)) != mark:
        walk(reader)


def _check_png(reader: Reader) -> None:
    """Go from chunk to chunk: its length, its name, its content, the checksum of both (PNG specification, 5.3)."""
    reader.seek(8)
    name = b""
    while name != b"IEND":
        head = reader.take(8)
        name = head[4:]
        checksum = zlib.crc32(name)
        for block in reader.blocks(int.from_bytes(head[:4], "big")):
            checksum = zlib.crc32(block, checksum)
        if int.from_bytes(reader.take(4), "big") != checksum:
            raise DamagedFileError(f"it is damaged (the checksum of its part {name.decode('latin-1')!a} is wrong)")


def _walk_jpeg(reader: Reader) -> None:
    """Go from segment to segment up to the pixels, then look for the end (ITU T.81, annex B).

    Among the pixels, the end's two bytes stand for nothing else; in a segment before, they may be a thumbnail's.
    """
    reader.seek(2)
    while True:
        mark, kind = reader.take(2)
        if mark != _MARKER:
            return  # something that Pillow passes over; whether the file is whole cannot be told
        if kind == _MARKER:
            reader.seek(-1, os.SEEK_CUR)
            continue
        if kind == _START_OF_SCAN:
            break
        reader.seek(int.from_bytes(reader.take(2), "big") - 2, os.SEEK_CUR)
    last = b""
    for block in reader.blocks():
        if _END_OF_IMAGE in last + block:
            return
        last = block[-1:]
    raise DamagedFileError("it ends too early")


def _walk_gif(reader: Reader) -> None:
    """Go from block to block (GIF89a specification, appendix A)."""
    reader.seek(0)
    _skip_gif_colours(reader, reader.take(13)[10])
    while (kind := reader.take(1)) != b";":
        if kind == b",":
            _skip_gif_colours(reader, reader.take(9)[8])
        elif kind != b"!":
            raise DamagedFileError("it has a block of an unknown kind")
        reader.take(1)  # the width of codes, or the kind of an extension
        while length := reader.take(1)[0]:
            reader.seek(length, os.SEEK_CUR)


def _skip_gif_colours(reader: Reader, flags: int) -> None:
    if flags & 0x80:
        reader.seek(3 * 2 ** ((flags & 0x07) + 1), os.SEEK_CUR)


_ENDINGS: dict[str, tuple[bytes, Callable[[Reader], None]]] = {
    "image/jpeg": (_END_OF_IMAGE, _walk_jpeg),
    "image/gif": (b"\x00;", _walk_gif),
}

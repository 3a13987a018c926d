"""Writes MP4 files, box by box: what no encoder on this machine writes."""

from __future__ import annotations

import struct

UPRIGHT = (1, 0, 0, 1)
TURNED = (0, 1, -1, 0)


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


FTYP = box(b"ftyp", b"isom\0\0\2\0isommp41")
MDAT = box(b"mdat", b"frames, then sound")


def esds(object_type: int, *, long_lengths: bool = False, flags: int = 0) -> bytes:
    """Write the box that tells an MPEG-4 stream's object type."""
    length = b"\x80\x80\x80\x20" if long_lengths else b"\x20"
    optional = b"\0\7" * bool(flags & 0x80) + b"\3abc" * bool(flags & 0x40) + b"\0\7" * bool(flags & 0x20)
    config = b"\x04" + length + bytes((object_type,))
    return box(b"esds", bytes(4) + b"\x03" + length + b"\0\1" + bytes((flags,)) + optional + config)


def trak(
    handler: bytes,
    *entries: bytes,
    size: tuple[int, int] = (0, 0),
    matrix: tuple[int, ...] = UPRIGHT,
    version: int = 0,
    tables: bytes = b"",
) -> bytes:
    """Write a stream.

    :param tables: boxes beside the one of its format.
    """
    a, b, c, d = (number << 16 for number in matrix)
    numbers = struct.pack(">9i2I", a, b, 0, c, d, 0, 0, 0, 1 << 30, size[0] << 16, size[1] << 16)
    header = bytes((version, 0, 0, 7)) + bytes(48 if version else 36) + numbers
    table = box(b"stbl", box(b"stsd", bytes(7) + bytes((len(entries),)) + b"".join(entries)) + tables)
    media = box(b"hdlr", bytes(8) + handler + bytes(13)) + box(b"minf", table)
    return box(b"trak", box(b"tkhd", header) + box(b"mdia", media))


def video_track(kind: bytes = b"avc1", content: bytes = b"", tables: bytes = b"") -> bytes:
    return trak(b"vide", box(kind, bytes(78) + content), size=(1440, 720), tables=tables)


def sound(object_type: int = 0x40, content: bytes | None = None) -> bytes:
    return trak(b"soun", box(b"mp4a", bytes(28) + (esds(object_type) if content is None else content)))


def mp4(*streams: bytes) -> bytes:
    return FTYP + box(b"moov", box(b"mvhd", bytes(100)) + b"".join(streams)) + MDAT

"""Content codings: what a server, or a proxy before it, compressed although identity was asked for."""

from __future__ import annotations

import zlib

_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW_DEFLATE)}
_OTHERS = {"br", "zstd", "compress", "x-compress", "dcb", "dcz"}
"""Codings that nothing here can unpack. Any other name (``utf-8``, ``none``) is no compression at all."""

_GZIP_MAGIC = b"\x1f\x8b"


class ContentError(ValueError):
    """A body cannot be unpacked; the text says why, as what an answer does."""


class TruncatedContentError(ContentError):
    """A compressed body ends too early."""


def unpack(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return a body without its content codings.

    :param encoding: the value of ``Content-Encoding``: names in the order in which they were applied.
    :param max_bytes: how large it may become.
    :raises ContentError: it is compressed with something else, corrupt, or larger.
    """
    names = [name.strip().lower() for name in encoding.split(",")]
    for name in reversed(names if body else ()):
        if name in _OTHERS:
            raise ContentError(f"is compressed ({name}), which was not asked for")
        if name in _WINDOWS:
            body = _unpack_one(body, name, max_bytes)
    return body


def _unpack_one(body: bytes, name: str, max_bytes: int) -> bytes:
    for window in _WINDOWS[name]:
        if window == _GZIP and not body.startswith(_GZIP_MAGIC):
            return body  # a proxy unpacked it and left the header
        try:
            return _inflate(body, window, max_bytes)
        except zlib.error:
            continue
    if name == "deflate" and body.lstrip()[:1] in {b"{", b"[", b"<"}:
        return body
    raise ContentError(f"is compressed ({name}), but cannot be unpacked")


def _inflate(body: bytes, window: int, max_bytes: int) -> bytes:
    """Unpack in steps, so that no more than the bound is ever held; gzip may hold several members."""
    unpacked = bytearray()
    while True:
        stream = zlib.decompressobj(window)
        unpacked += stream.decompress(body, max_bytes + 1 - len(unpacked))
        if len(unpacked) > max_bytes:
            raise ContentError(f"is larger than {max_bytes / 2**20:g} MiB")
        if not stream.eof:
            raise TruncatedContentError("was cut off")
        body = stream.unused_data
        if window != _GZIP or not body.startswith(_GZIP_MAGIC):
            return bytes(unpacked)

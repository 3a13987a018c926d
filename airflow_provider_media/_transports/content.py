"""Decompress bodies that a server or proxy compressed although ``identity`` was requested."""

from __future__ import annotations

import zlib

_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW_DEFLATE)}
_OTHERS = {"br", "zstd", "compress", "x-compress", "dcb", "dcz"}
"""Codings that are not supported. Other names (``utf-8``, ``none``) are not compression."""

_GZIP_MAGIC = b"\x1f\x8b"


class ContentError(ValueError):
    """A body cannot be decompressed; the message is the reason."""


class TruncatedContentError(ContentError):
    """A compressed body is truncated."""


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return a body without its content codings.

    :param encoding: the value of ``Content-Encoding``: codings in the order in which they were applied.
    :param max_bytes: max size of the decompressed body.
    :raises ContentError: the coding is not supported, or the body is corrupt or too large.
    """
    names = [name.strip().lower() for name in encoding.split(",")]
    for name in reversed(names if body else ()):
        if name in _OTHERS:
            raise ContentError(f"compressed ({name}), which was not requested")
        if name in _WINDOWS:
            body = _decompress_one(body, name, max_bytes)
    return body


def _decompress_one(body: bytes, name: str, max_bytes: int) -> bytes:
    for window in _WINDOWS[name]:
        if window == _GZIP and not body.startswith(_GZIP_MAGIC):
            return body  # a proxy decompressed it and kept the header
        try:
            return _inflate(body, window, max_bytes)
        except zlib.error:
            continue
    if name == "deflate" and body.lstrip()[:1] in {b"{", b"[", b"<"}:
        return body
    raise ContentError(f"cannot be decompressed ({name})")


def _inflate(body: bytes, window: int, max_bytes: int) -> bytes:
    """Decompress at most ``max_bytes``; gzip may have several members."""
    decompressed = bytearray()
    while True:
        stream = zlib.decompressobj(window)
        decompressed += stream.decompress(body, max_bytes + 1 - len(decompressed))
        if len(decompressed) > max_bytes:
            raise ContentError(f"larger than {max_bytes / 2**20:g} MiB")
        if not stream.eof:
            raise TruncatedContentError("truncated")
        body = stream.unused_data
        if window != _GZIP or not body.startswith(_GZIP_MAGIC):
            return bytes(decompressed)

"""Reads here and there in a source, within bounds: a damaged or hostile file ends soon, in one sentence."""

from __future__ import annotations

import io
import math
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_media._api.source import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_STEPS = 200_000
"""How many parts of a file are read; one of 100 MB, in the parts that encoders write, has fewer."""

_BLOCK_BYTES = 64 * 1024


class DamagedFileError(Exception):
    """The file is not what its first bytes promise; says why."""


class Reader(io.BufferedReader):
    """An opened source as a file that begins at 0; libraries seek from the start.

    :param label: the file's name, for errors.
    :param stream: the opened source, standing where the file begins.
    :param size: the source's size in bytes.
    """

    def __init__(self, label: str, stream: IO[bytes], size: int) -> None:
        self.size = size
        self._steps = 0
        self._window = _Window(label, stream, size)
        super().__init__(self._window)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read some bytes; fewer where the file ends.

        :raises DamagedFileError: the file is made of too many parts, or has more than :meth:`within` allows.
        """
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise DamagedFileError("it is made of too many parts")
        return super().read(size)

    def take(self, count: int) -> bytes:
        """Read exactly so many bytes.

        :raises DamagedFileError: as :meth:`read`, and when the file ends before.
        """
        data = self.read(count)
        if len(data) < count:
            raise DamagedFileError("it ends too early")
        return data

    def blocks(self, count: int | None = None) -> Iterator[bytes]:
        """Read on, in blocks.

        :param count: how many bytes, all of which must be there; by default to the end.
        """
        left = self.size - self.tell() if count is None else count
        while left > 0:
            block = self.take(min(left, _BLOCK_BYTES))
            left -= len(block)
            yield block

    @contextmanager
    def within(self, max_bytes: int) -> Iterator[None]:
        """Let no more than so many bytes be read of the source."""
        self._window.left = max_bytes
        try:
            yield
        finally:
            self._window.left = math.inf


class _Window(io.RawIOBase):
    def __init__(self, label: str, stream: IO[bytes], size: int) -> None:
        self.left: float = math.inf
        self._label = label
        self._stream = stream
        self._size = size
        self._at = 0
        with reading(label):
            self._start = stream.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        if self.left <= 0:
            raise DamagedFileError("its headers have no end")
        with reading(self._label):
            self._stream.seek(self._start + self._at)
            data = self._stream.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        self.left -= len(data)
        return len(data)

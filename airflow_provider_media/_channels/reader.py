"""Random access to a source, with limits on the work that a malicious file can cause."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

from airflow_provider_media._upload.source import wrap_read_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SECONDS = 1.2
"""Max CPU time per file, plus :data:`_SECONDS_PER_MB` of its size. Waiting for a disk or an object store does not
count."""

_SECONDS_PER_MB = 0.005
_READS_BETWEEN_CHECKS = 256

_MIN_BLOCK_BYTES = 4 * 1024
_MAX_BLOCK_BYTES = 256 * 1024
"""A block that follows the previous one closely is twice as long, within these limits, so that a walk over the boxes of
a large video reads little, and one over thousands of small segments is fast."""


class InvalidFileError(Exception):
    """No channel accepts the file: the reason, which completes "the file is ...", and advice."""

    advice = "Export it again."

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(f"{reason}. {advice or self.advice}".rstrip("."))


class CorruptFileError(InvalidFileError):
    """The file is incomplete, or a checksum in it is wrong."""

    advice = "Copy or export it again."


class Reader:
    """An open source, read by position."""

    def __init__(self, label: str, stream: IO[bytes], size: int) -> None:
        self.size = size
        self._label = label
        self._stream = stream
        self._block = b""
        self._block_start = 0
        self._reads = 0
        self._deadline = time.thread_time() + MAX_SECONDS + size / 1_000_000 * _SECONDS_PER_MB
        with wrap_read_errors(label):
            self._start = stream.tell()

    def read(self, start: int, count: int, part: str = "headers") -> bytes:
        """Return exactly ``count`` bytes."""
        self._reads += 1
        if not self._reads % _READS_BETWEEN_CHECKS:
            self.check_time()
        offset = start - self._block_start
        data = self._block[offset : offset + count] if offset >= 0 else b""
        if len(data) == count:
            return data
        if start + count > self.size:
            raise self.truncated(part)
        return self._fetch(start, count)[:count]

    def truncated(self, part: str) -> CorruptFileError:
        """Return the error of a file that ends within one of its parts."""
        return CorruptFileError(f"truncated: it ends at byte {self.size:,}, within its {part}")

    def window(self, at: int) -> tuple[bytes, int]:
        """Return bytes of the file and the index of a position in them: their length at the end of the file."""
        self.check_time()
        if not 0 <= at - self._block_start < len(self._block):
            if at >= self.size:
                return b"", 0
            self._fetch(at, 1)
        return self._block, at - self._block_start

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes between two positions."""
        while start < end:
            data = self.read(start, min(end - start, _MAX_BLOCK_BYTES))
            start += len(data)
            yield data

    def check_time(self) -> None:
        """Raise if the time limit is exceeded."""
        if time.thread_time() > self._deadline:
            raise InvalidFileError("made of too many segments to check in time")

    def _fetch(self, start: int, count: int) -> bytes:
        is_near = self._block_start < start <= self._block_start + 2 * len(self._block)
        length = min(2 * len(self._block), _MAX_BLOCK_BYTES) if is_near else _MIN_BLOCK_BYTES
        missing = min(max(count, length), self.size - start)
        parts = []
        with wrap_read_errors(self._label):
            self._stream.seek(self._start + start)
            while missing > 0 and (data := self._stream.read(missing)):
                parts.append(data)
                missing -= len(data)
        self._block, self._block_start = b"".join(parts), start
        if len(self._block) < count:
            raise CorruptFileError(f"truncated: it ends at byte {start + len(self._block):,}")  # it shrank
        return self._block

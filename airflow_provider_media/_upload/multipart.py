"""The streaming multipart body: framing, declared length, and the source read again for each attempt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_media._upload.source import iter_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media._upload.source import FileRegion, Source


class StreamingBody:
    """The body of one attempt, in constant memory.

    :param before: the framing up to the file's first byte.
    :param source: the file.
    :param after: the framing that ends the body. It is sent only after the source was verified, so that the server
        cannot store a changed file.
    :param on_block: called after each block of the file, with the number of bytes sent.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        before: bytes,
        source: Source,
        after: bytes,
        on_block: Callable[[int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._before = before
        self._source = source
        self._after = after
        self._on_block = on_block
        self._clock = clock
        self.finished = False
        """Whether the whole body was yielded; until then no server can have the whole file."""
        self.transfer_seconds = 0.0
        """Seconds spent sending, without the wait for the response."""

    def __len__(self) -> int:
        """Return the declared length in bytes."""
        return len(self._before) + self._source.size + len(self._after)

    def __iter__(self) -> Iterator[bytes | memoryview | FileRegion]:
        """Open the source and yield the body block by block.

        :raises MediaFileError: the source changed since it was measured.
        """
        started = self._clock()
        yield self._before
        done = 0
        for block in iter_regions(self._source):
            yield block
            done += len(block)
            self.transfer_seconds = self._clock() - started
            if self._on_block:
                self._on_block(done)
        self.finished = True
        yield self._after
        self.transfer_seconds = self._clock() - started

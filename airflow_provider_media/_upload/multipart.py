"""The streaming multipart body: framing, declared length, and the source read anew for each attempt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_media._upload.source import iter_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media._upload.source import FileRegion, Source


class StreamingBody:
    """The bytes of one attempt; memory does not grow with the file.

    :param before: the framing up to the file's first byte.
    :param source: the file.
    :param after: the framing that ends the body. It is sent only when the source turned out to be what was measured:
        until then the server lacks the end and cannot take a wrong file for a whole one.
    :param on_block: called after each block of the file is sent, with the number of bytes so far.
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
        """Keep the parts; nothing is opened yet."""
        self._before = before
        self._source = source
        self._after = after
        self._on_block = on_block
        self._clock = clock
        self.finished = False
        """Whether all was given away: before that, no server can have the whole file."""
        self.transfer_seconds = 0.0
        """How long it took to send what was sent; the server's silence afterwards is not part of it."""

    def __len__(self) -> int:
        """Give the length that is declared to the server."""
        return len(self._before) + self._source.size + len(self._after)

    def __iter__(self) -> Iterator[bytes | memoryview | FileRegion]:
        """Open the source and give the body block by block.

        :raises MediaFileError: when the source is no longer what was measured.
        """
        started = self._clock()
        yield self._before
        taken = 0
        for block in iter_regions(self._source):
            yield block
            taken += len(block)
            self.transfer_seconds = self._clock() - started
            if self._on_block:
                self._on_block(taken)
        self.finished = True
        yield self._after
        self.transfer_seconds = self._clock() - started

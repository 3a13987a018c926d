"""The streaming multipart body of an attempt, and the progress of its transfer."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from airflow_provider_media._api.values import format_size, plural
from airflow_provider_media._upload.source import RunningDigest, iter_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media._upload.source import FileRegion, Source


class StreamingBody:
    """The body of one attempt, in constant memory.

    :param before: the framing up to the file's first byte.
    :param after: the framing that ends the body. It is sent only after the source was verified, so that the server
        cannot store a changed file.
    :param on_block: called after each block of the file, with the number of bytes sent.
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
        """Open the source and yield the body block by block."""
        started = self._clock()
        yield self._before
        done = 0
        digest = RunningDigest(self._source) if self._source.on_hashed else None
        for block in iter_regions(self._source, digest):
            yield block
            done += len(block)
            self.transfer_seconds = self._clock() - started
            if self._on_block:
                self._on_block(done)
        if digest and self._source.on_hashed and (sha256 := digest.hexdigest()):
            self._source.on_hashed(sha256)
        self.finished = True
        yield self._after
        self.transfer_seconds = self._clock() - started


log = logging.getLogger(__name__)

MIN_LOG_INTERVAL_SECONDS = 10.0
MAX_LOG_INTERVAL_SECONDS = 60.0
STEP = 0.1


class LogThrottle:
    """Throttles progress logging: one line for each tenth of the work, 10 to 60 seconds apart.

    Work that ends within 10 seconds logs nothing. Work that logged a line also logs its end.
    """

    def __init__(self, total: float, clock: Callable[[], float]) -> None:
        self._total = total
        self._clock = clock
        self._started = self._last_time = clock()
        self._last_done = 0.0

    def is_due(self, done: float) -> bool:
        """Return whether to log a line now."""
        now = self._clock()
        since, is_end = now - self._last_time, done >= self._total
        if since < MIN_LOG_INTERVAL_SECONDS and not (is_end and self._last_done):
            return False
        if done - self._last_done < STEP * self._total and since < MAX_LOG_INTERVAL_SECONDS and not is_end:
            return False
        self._last_time, self._last_done = now, done
        return True

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return max(self._clock() - self._started, 0.001)


class Progress:
    """Logs the progress of one file."""

    def __init__(self, what: str, total: int, *, attempt: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._total = total
        self._attempt = attempt
        self._throttle = LogThrottle(total, clock)

    def __call__(self, done: int) -> None:
        """Record the number of bytes sent."""
        if self._throttle.is_due(done):
            log.info(
                "Uploading %r: %.0f %%, %s of %s, %s/s, attempt %d",
                self._what,
                100 * done / self._total,
                format_size(done),
                format_size(self._total),
                format_size(round(done / self._throttle.seconds)),
                self._attempt,
            )


class FilesProgress:
    """Logs the progress of several files. Thread-safe."""

    def __init__(self, files: int, total: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._total = total
        self._files_done = self._bytes_done = 0
        self._throttle = LogThrottle(total, clock)
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Record a completed file."""
        with self._lock:
            self._files_done += 1
            self._bytes_done += size
            if self._files_done < self._files and self._throttle.is_due(self._bytes_done):
                rate = self._bytes_done / self._throttle.seconds
                log.info(
                    "Uploaded %s; %.0f s remaining", self._so_far(), (self._total - self._bytes_done) / max(rate, 1.0)
                )

    def summary(self) -> str:
        """Return totals and rate for a log line."""
        return f"{self._so_far()}, in {self._throttle.seconds:.1f} s"

    def _so_far(self) -> str:
        seconds = self._throttle.seconds
        return (
            f"{self._files_done} of {plural(self._files, 'file')},"
            f" {format_size(self._bytes_done)} of {format_size(self._total)}"
            f" ({self._files_done / seconds:.1f} files/s, {format_size(round(self._bytes_done / seconds))}/s)"
        )

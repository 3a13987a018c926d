"""Log the progress of long uploads, of one file or of many."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

MIB = 1024 * 1024
MIN_LOG_INTERVAL_SECONDS = 10.0
MAX_LOG_INTERVAL_SECONDS = 60.0
STEP = 0.1


class LogThrottle:
    """Throttles progress logging: one line for each tenth of the work, 10 to 60 seconds apart.

    Work that ends within 10 seconds logs nothing. Work that logged a line also logs its end.

    :param total: the amount of work.
    :param clock: monotonic seconds.
    """

    def __init__(self, total: float, clock: Callable[[], float]) -> None:
        """Start the clock."""
        self._total = total
        self._clock = clock
        self._started = self._last_time = clock()
        self._last_done = 0.0

    def is_due(self, done: float) -> bool:
        """Return whether to log a line now.

        :param done: how much of the work is done.
        """
        now = self._clock()
        since = now - self._last_time
        if since < MIN_LOG_INTERVAL_SECONDS and (done < self._total or not self._last_done):
            return False
        if not (
            done - self._last_done >= STEP * self._total or since >= MAX_LOG_INTERVAL_SECONDS or done == self._total
        ):
            return False
        self._last_time, self._last_done = now, done
        return True

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return max(self._clock() - self._started, 0.001)


class Progress:
    """Logs the progress of one file.

    :param what: the name of the file.
    :param total: its size in bytes.
    :param attempt: which attempt this is, from 1.
    :param clock: monotonic seconds.
    """

    def __init__(self, what: str, total: int, *, attempt: int, clock: Callable[[], float]) -> None:
        """Start the clock."""
        self._what = what
        self._total = total
        self._attempt = attempt
        self._throttle = LogThrottle(total, clock)

    def __call__(self, done: int) -> None:
        """Record the number of bytes sent."""
        if self._throttle.is_due(done):
            log.info(
                "Uploading %r: %.0f %%, %.1f of %.1f MiB, %.1f MiB/s, attempt %d",
                self._what,
                100 * done / self._total,
                done / MIB,
                self._total / MIB,
                done / MIB / self._throttle.seconds,
                self._attempt,
            )


class FilesProgress:
    """Logs the progress of several files. Thread-safe.

    :param files: how many there are.
    :param total: their size in bytes.
    :param clock: monotonic seconds.
    """

    def __init__(self, files: int, total: int, *, clock: Callable[[], float]) -> None:
        """Start the clock."""
        self._files = files
        self._total = total
        self._files_done = self._bytes_done = 0
        self._throttle = LogThrottle(total, clock)
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Record a completed file.

        :param size: in bytes.
        """
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
            f"{self._files_done} of {self._files} files, {self._bytes_done / MIB:.1f} of {self._total / MIB:.1f} MiB"
            f" ({self._files_done / seconds:.1f} files/s, {self._bytes_done / MIB / seconds:.1f} MiB/s)"
        )

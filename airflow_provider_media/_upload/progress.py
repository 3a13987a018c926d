"""Lines in the log that tell how far a long transfer is: of one file, or of many."""

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
    """Decides when another line is due: each tenth of the work, not within 10 seconds of the last; each minute anyway.

    Work that ends within 10 seconds gets no line; work that got one gets one for its end.

    :param total: the amount of work.
    :param clock: monotonic seconds.
    """

    def __init__(self, total: float, clock: Callable[[], float]) -> None:
        """Start the clock."""
        self._total = total
        self._clock = clock
        self._started = self._last_time = clock()
        self._last_done = 0.0

    def are_over(self, done: float) -> bool:
        """Tell whether a line is due now; if so, count from here.

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
        """How long it has taken so far."""
        return max(self._clock() - self._started, 0.001)


class Progress:
    """Says how far the transfer of one file is.

    :param what: what is transferred.
    :param total: its size in bytes.
    :param attempt: which attempt this is, from 1.
    :param clock: monotonic seconds.
    """

    def __init__(self, what: str, total: int, *, attempt: int, clock: Callable[[], float]) -> None:
        """Start the clock."""
        self._what = what
        self._total = total
        self._attempt = attempt
        self._pauses = LogThrottle(total, clock)

    def __call__(self, done: int) -> None:
        """Take note of the bytes transferred so far."""
        if self._pauses.are_over(done):
            log.info(
                "%s %r: %.0f %%, %.1f of %.1f MiB, %.1f MiB/s, attempt %d",
                "Sent" if done == self._total else "Sending",
                self._what,
                100 * done / self._total,
                done / MIB,
                self._total / MIB,
                done / MIB / self._pauses.seconds,
                self._attempt,
            )


class FilesProgress:
    """Says how far the transfer of several files is; may be told from several threads.

    :param files: how many there are.
    :param total: their size in bytes.
    :param clock: monotonic seconds.
    """

    def __init__(self, files: int, total: int, *, clock: Callable[[], float]) -> None:
        """Start the clock."""
        self._files = files
        self._total = total
        self._files_done = self._bytes_done = 0
        self._pauses = LogThrottle(total, clock)
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Take note of one more file that is done.

        :param size: in bytes.
        """
        with self._lock:
            self._files_done += 1
            self._bytes_done += size
            if self._files_done < self._files and self._pauses.are_over(self._bytes_done):
                rate = self._bytes_done / self._pauses.seconds
                log.info("Sent %s; %.0f s left", self._so_far(), (self._total - self._bytes_done) / max(rate, 1.0))

    def summary(self) -> str:
        """Say what was done in all, and how fast."""
        return f"{self._so_far()}, in {self._pauses.seconds:.1f} s"

    def _so_far(self) -> str:
        seconds = self._pauses.seconds
        return (
            f"{self._files_done} of {self._files} files, {self._bytes_done / MIB:.1f} of {self._total / MIB:.1f} MiB"
            f" ({self._files_done / seconds:.1f} files/s, {self._bytes_done / MIB / seconds:.1f} MiB/s)"
        )

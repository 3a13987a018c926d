"""Lines in the log that tell how far a long transfer is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

MIB = 1024 * 1024
SHORTEST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 60.0
STEP = 0.1


class Progress:
    """Says how far a transfer is: each tenth of it, but not within 10 seconds of the last line; each minute anyway.

    A transfer of less than 10 seconds says nothing; one that said something says when it is done.

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
        self._clock = clock
        self._started = self._last_time = clock()
        self._last_done = 0

    def __call__(self, done: int) -> None:
        """Take note of the bytes transferred so far."""
        now = self._clock()
        since = now - self._last_time
        if since < SHORTEST_PAUSE_SECONDS and (done < self._total or not self._last_done):
            return
        a_step = done - self._last_done >= STEP * self._total
        if a_step or since >= LONGEST_PAUSE_SECONDS or done == self._total:
            self._tell(done, now)

    def _tell(self, done: int, now: float) -> None:
        self._last_time, self._last_done = now, done
        log.info(
            "%s %r: %.0f %%, %.1f of %.1f MiB, %.1f MiB/s, attempt %d",
            "Sent" if done == self._total else "Sending",
            self._what,
            100 * done / self._total,
            done / MIB,
            self._total / MIB,
            done / MIB / max(now - self._started, 0.001),
            self._attempt,
        )

"""Hold one process to a rate of requests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow_provider_media._transports import clock

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace:
    """Hands out the moments at which requests may start, evenly spaced; shared by all threads of a process.

    Several processes do not know of each other: to hold a whole Airflow to a rate, use a pool besides.

    :param per_second: requests a second, or None for no limit.
    :param clock: monotonic seconds.
    """

    def __init__(self, per_second: float | None, clock: Callable[[], float]) -> None:
        """Start with the first moment free."""
        self._interval = 1 / per_second if per_second else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()

    def reserve(self) -> float:
        """Take the next free moment; return how many seconds it is away."""
        if not self._interval:
            return 0.0
        with self._lock:
            now = self._clock()
            moment = max(now, self._next)
            self._next = moment + self._interval
            return moment - now


_paces: dict[tuple[str, str, float | None], Pace] = {}
_paces_lock = threading.Lock()


def pace_of(base_url: str, api_key: str, per_second: float | None) -> Pace:
    """Return the one pace of this process for an address, key and rate, however many hooks there are."""
    with _paces_lock:
        return _paces.setdefault((base_url, api_key, per_second), Pace(per_second, clock.now))

"""Hold one process to a rate of requests."""

from __future__ import annotations

import threading
from bisect import insort
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_media._transports import clock
from airflow_provider_media._transports.forks import renew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media._api.secret import Secret


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
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew, with the next moment free."""
        self._lock = threading.Lock()
        self._next = self._clock()
        self._given_back: list[float] = []  # in order

    @contextmanager
    def turn(self) -> Iterator[float]:
        """Take the next free moment, and tell how many seconds it is away; who gives up waiting gives it back."""
        if not self._interval:
            yield 0.0
            return
        with self._lock:
            now = self._clock()
            moment = self._take(now)
        try:
            yield moment - now
        except BaseException:
            with self._lock:
                self._take_back(moment)
            raise

    def _take_back(self, moment: float) -> None:
        insort(self._given_back, moment)
        while self._given_back and self._given_back[-1] + self._interval == self._next:  # nobody comes after it
            self._next = self._given_back.pop()

    def _take(self, now: float) -> float:
        while self._given_back:
            moment = self._given_back.pop(0)
            if moment >= now:
                return moment
        moment = max(now, self._next)
        self._next = moment + self._interval
        return moment


_paces: dict[tuple[str, Secret[str], float | None], Pace] = {}


def pace_of(base_url: str, api_key: Secret[str], per_second: float | None) -> Pace:
    """Return the one pace of this process for an address, key and rate, however many hooks there are."""
    # Without a lock, which a child might inherit while it is held: setdefault is atomic.
    return _paces.setdefault((base_url, api_key, per_second), Pace(per_second, clock.now))

"""Keep one process within the rate limits of an API key, and renew what a forked child must not share.

Retries and rate limits wait with the functions of this module, used as its attributes, so that tests can skip the time.
Timeouts of connections and responses use the real clock.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.values import parse_http_date
from airflow_provider_media.exceptions import MediaError, MediaRateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_media._api.protocol import ApiRequest
    from airflow_provider_media._api.retry import RetryState
    from airflow_provider_media._api.settings import Secret


log = logging.getLogger(__name__)


def now() -> float:
    """Return monotonic seconds."""
    return time.monotonic()


def wait(seconds: float, stopped: threading.Event) -> bool:
    """Wait for the given time or until the event is set; return whether it is set."""
    return stopped.wait(seconds)


async def sleep(seconds: float) -> None:
    """Wait on the event loop for the given seconds."""
    await asyncio.sleep(seconds)


class CancelTimer:
    """Cancels an operation after a time limit, in a ``with`` block."""

    def __init__(self, seconds: float, cancel: Callable[[], None]) -> None:
        self.has_fired = False
        self._cancel = cancel
        self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._fire)
        self._timer.daemon = True

    def _fire(self) -> None:
        self.has_fired = True
        self._cancel()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # because the timer may be firing right now


_renewable: weakref.WeakSet[Any] = weakref.WeakSet()
"""Registered objects of this process, while they are alive."""


def renew_in_children(renewable: Any) -> None:
    """Call the object's ``renew`` in each child that this process forks.

    A child shares its parent's sockets, has none of its threads, and its copies of locks may be held.
    """
    _renewable.add(renewable)


os.register_at_fork(after_in_child=lambda: [renewable.renew() for renewable in list(_renewable)])


MAX_RESET_SECONDS = 300.0
"""Max length of a rate limit window; a longer one is ignored as implausible."""

MAX_HOLD_SECONDS = 120.0
"""Max ``Retry-After`` that delays all requests; a longer one applies only to the request that received it."""

LEARNED_RATE_SECONDS = 120.0
"""How long a rate learned from responses applies."""

_LEARNED_SHARE = 0.95
"""Share of the accepted rate that is used, because evenly spaced requests do not arrive evenly spaced."""

_MIN_LEARNED_RATE = 5
"""Min requests per second to learn from; with fewer, other clients used up the limit."""

_MAX_STARTS = 1000
"""Of how many requests the time is kept; more than are sent in a second."""

_HOLD_AFTER_REFUSAL_SECONDS = 1.0
_MIN_LOGGED_HOLD_SECONDS = 5.0
_CLOCK_TOLERANCE_SECONDS = 1e-6
_SAME_WINDOW_SECONDS = 2.0
_TOO_MANY_REQUESTS = 429
_FIRST_EPOCH_SECONDS, _FIRST_EPOCH_MILLISECONDS = 1e9, 1e12


@dataclass(slots=True)
class Turn:
    """One request's slot in its limiter.

    :ivar moment: when the request may start (monotonic seconds); None while the server's limits delay all requests.
    :ivar number: the request's number, counted from 1; 0 until it starts.
    """

    moment: float | None = None
    number: int = 0


class RateLimiter:
    """Decides when requests may start; shared by all threads and hooks of a process that use one address and key.

    Requests are spaced evenly, by the connection's ``requests_per_second`` or a rate learned from responses. They wait
    for the end of a window whose ``X-RateLimit-Remaining`` is used up. Processes do not coordinate, although the server
    counts the requests of all.
    """

    def __init__(self, per_second: float | None, now: Callable[[], float]) -> None:
        self._own_interval = 1 / per_second if per_second else 0.0
        self._now = now
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Reset the state, in a forked child too."""
        now = self._now()
        self._lock = threading.Lock()
        self._next = now
        self._started = 0
        self._starts: deque[float] = deque(maxlen=_MAX_STARTS)
        self._held_until = self._logged_until = now
        self._last_number: int | None = None  # of the window
        self._window_ends = now
        self._has_seen_remaining = False
        self._learned_interval = 0.0
        self._learned_at = now

    def waits(self, turn: Turn, request: ApiRequest, retry_state: RetryState) -> Iterator[float]:
        """Yield delays in seconds until the request is started; raise if they exceed the request's retry budget."""
        while seconds := self.start(turn):
            if turn.moment is None and seconds > retry_state.seconds_remaining:
                raise MediaRateLimitError(
                    f"Could not {request.purpose}: the rate limit of the API key is exceeded for {seconds:.0f} s.",
                    is_transient=True,
                    retry_after=seconds,
                )
            yield seconds

    def start(self, turn: Turn) -> float:
        """Start a request and return 0, or return the delay in seconds before the next call."""
        with self._lock:
            now = self._now()
            is_used_up = self._last_number is not None and self._started >= self._last_number
            hold = max(self._held_until, self._window_ends if is_used_up else now) - now
            if hold > 0:
                if hold >= _MIN_LOGGED_HOLD_SECONDS and now >= self._logged_until:
                    self._logged_until = now + hold
                    log.info("All requests of this API key wait %.0f s, as the server requested", hold)
                turn.moment = None
                return hold
            if turn.moment is None:
                if now - self._learned_at >= LEARNED_RATE_SECONDS:
                    self._learned_interval = 0.0
                turn.moment = max(now, self._next)
                self._next = turn.moment + max(self._own_interval, self._learned_interval)
            if turn.moment - now > _CLOCK_TOLERANCE_SECONDS:
                return turn.moment - now
            self._started += 1
            turn.number = self._started
            self._starts.append(now)
            return 0.0

    def note(self, turn: Turn, headers: Mapping[str, str], error: MediaError | None = None) -> None:
        """Record the rate limits of a response."""
        limit, remaining = (_count(headers.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining"))
        seconds = _seconds_to_reset(headers)
        with self._lock:
            now = self._now()
            if limit and seconds is not None and seconds <= 1:  # a window of a second, or the end of a longer one
                self._learn(now, limit)
            # A server that always sends 0 is ignored.
            self._has_seen_remaining = self._has_seen_remaining or bool(remaining)
            if self._has_seen_remaining and remaining is not None and seconds is not None:
                ends = now + seconds
                is_same = now < self._window_ends and abs(ends - self._window_ends) < _SAME_WINDOW_SECONDS
                # Servers send the reset in integer seconds, usually rounded up.
                self._window_ends = min(ends, self._window_ends) if is_same else ends
                self._last_number = turn.number + remaining
            if error is None or not error.is_transient:
                return
            is_refusal = error.status == _TOO_MANY_REQUESTS
            # The refusal of another request may already have been handled.
            if is_refusal and remaining != 0 and now >= self._held_until:
                refused = self._started - turn.number + 1  # the requests that were started since are refused too
                accepted = sum(start > now - 1 for start in self._starts) - refused
                if accepted >= _MIN_LEARNED_RATE:
                    self._learn(now, accepted)
            hold = error.retry_after or (_HOLD_AFTER_REFUSAL_SECONDS if is_refusal else 0.0)
            if hold <= MAX_HOLD_SECONDS:
                self._held_until = max(self._held_until, now + hold)

    def _learn(self, now: float, per_second: int) -> None:
        self._learned_interval = 1 / (_LEARNED_SHARE * per_second)
        self._learned_at = now


def _count(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 - what a limit can be


def _seconds_to_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to the end of the window, from seconds or a Unix time; None if absent or implausible."""
    try:
        reset = float(headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    if reset >= _FIRST_EPOCH_MILLISECONDS:
        reset /= 1000
    if reset >= _FIRST_EPOCH_SECONDS:
        date = parse_http_date(headers.get("date", ""))  # because the server's clock may differ from ours
        reset -= date.timestamp() if date else time.time()
    return reset if 0 <= reset <= MAX_RESET_SECONDS else None


_MAX_LIMITERS = 256

_limiters: dict[tuple[str, Secret[str], float | None], RateLimiter] = {}
"""Limiters of this process; rotated keys leave entries behind, so the oldest are dropped above the maximum."""


def limiter_of(base_url: str, api_key: Secret[str], per_second: float | None) -> RateLimiter:
    """Return the process's limiter for a base address, key and rate; hooks share it."""
    # No lock, because a forked child could inherit it locked; setdefault, list and pop are atomic.
    limiter = _limiters.setdefault((base_url, api_key, per_second), RateLimiter(per_second, now))
    for key in list(_limiters)[:-_MAX_LIMITERS]:
        _limiters.pop(key, None)
    return limiter

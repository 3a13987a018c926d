"""Hold one process to the rate limits of an API key: the connection's own, and those that the server tells of."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from airflow_provider_media._api.timestamps import parse_http_date
from airflow_provider_media._transports import clock
from airflow_provider_media._transports.forks import renew_in_children
from airflow_provider_media.exceptions import MediaError, MediaRateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_media._api.protocol import ApiRequest
    from airflow_provider_media._api.retry import RetryState
    from airflow_provider_media._api.secret import Secret

MAX_RESET_SECONDS = 300.0
"""A window that ends later than this is taken for nonsense, and ignored."""

MAX_HOLD_SECONDS = 120.0
"""A request that is asked to wait longer (``Retry-After``) fails by itself, and the others go on."""

LEARNED_RATE_SECONDS = 120.0
"""For so long a rate holds that was learned from responses."""

_LEARNED_SHARE = 0.95
"""Of the rate that the server accepted: requests that start evenly do not quite arrive so."""

_MIN_LEARNED_RATE = 5
"""Fewer requests per second than this were accepted: others used up the limit, and their rate is not ours."""

_HOLD_AFTER_REFUSAL_SECONDS = 1.0
_CLOCK_TOLERANCE_SECONDS = 1e-6
_SAME_WINDOW_SECONDS = 2.0
_TOO_MANY_REQUESTS = 429
_FIRST_EPOCH_SECONDS, _FIRST_EPOCH_MILLISECONDS = 1e9, 1e12


class Turn:
    """One request's place among those of its limiter.

    :param limiter: the limiter.
    :ivar moment: when the request may start; None while the server's limits hold all requests.
    :ivar number: how many requests were started with it; 0 until it is.
    """

    def __init__(self, limiter: RateLimiter) -> None:
        """Wait for the first free moment."""
        self._limiter = limiter
        self.moment: float | None = None
        self.number = 0

    def waits(self, call: ApiRequest, retries: RetryState) -> Iterator[float]:
        """Yield how many seconds to wait, again and again, until the request is started.

        :raises MediaRateLimitError: when the server's limits hold longer than the tries of the call last.
        """
        while seconds := self.start():
            if self.moment is None and seconds > retries.seconds_remaining:
                raise MediaRateLimitError(
                    f"Could not {call.purpose}: the rate limit of the API key is exceeded for {seconds:.0f} s more.",
                    is_transient=True,
                    retry_after=seconds,
                )
            yield seconds

    def start(self) -> float:
        """Start the request and return 0, or return the seconds after which to ask again."""
        return self._limiter.start(self)

    def note(self, headers: Mapping[str, str], problem: MediaError | None = None) -> None:
        """Take note of the response.

        :param headers: by name in lower case.
        :param problem: what is wrong with it, if anything is.
        """
        self._limiter.note(self, headers, problem)


class RateLimiter:
    """Decides when requests may start; shared by all threads and hooks of a process that use one address and key.

    Requests are spaced evenly by the connection's ``requests_per_second``, or by a rate that its responses show;
    and they wait for the end of the window whose ``X-RateLimit-Remaining`` is used up.

    Several processes do not know of each other, but the server counts the requests of all.

    :param per_second: requests a second, or None for no limit of the connection's own.
    :param now: monotonic seconds.
    """

    def __init__(self, per_second: float | None, now: Callable[[], float]) -> None:
        """Start with the first moment free, and nothing known of the server's limits."""
        self._own_interval = 1 / per_second if per_second else 0.0
        self._now = now
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew, with the next moment free."""
        now = self._now()
        self._lock = threading.Lock()
        self._next = now
        self._started = 0
        self._starts: deque[float] = deque()  # of the last second
        self._held_until = now
        self._last_number: int | None = None  # of the window
        self._window_ends = now
        self._has_seen_remaining = False
        self._learned_interval = 0.0
        self._learned_at = now

    def turn(self) -> Turn:
        """Return the turn of a request that is about to be sent."""
        return Turn(self)

    def start(self, turn: Turn) -> float:
        """Start a request and return 0, or return the seconds after which to ask again."""
        with self._lock:
            now = self._now()
            if closed := self._closed_for(now):
                turn.moment = None
                return closed
            if turn.moment is None:
                turn.moment = max(now, self._next)
                self._next = turn.moment + self._interval(now)
            if turn.moment - now > _CLOCK_TOLERANCE_SECONDS:
                return turn.moment - now
            self._started += 1
            turn.number = self._started
            self._starts.append(now)
            self._forget_starts(now)
            return 0.0

    def note(self, turn: Turn, headers: Mapping[str, str], problem: MediaError | None) -> None:
        """Take note of the response to a request; see :meth:`Turn.note`."""
        limit, remaining = (_count(headers.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining"))
        seconds = _seconds_to_reset(headers)
        with self._lock:
            now = self._now()
            if limit and seconds is not None and seconds <= 1:  # a window of a second, or the end of a longer one
                self._learn(now, limit)
            # A server that always says 0 says nothing.
            self._has_seen_remaining = self._has_seen_remaining or bool(remaining)
            if self._has_seen_remaining and remaining is not None and seconds is not None:
                self._note_window(now, turn.number + remaining, now + seconds)
            if problem is None or not problem.is_transient:
                return
            is_refusal = problem.status == _TOO_MANY_REQUESTS
            # Another request's refusal may have been met already.
            if is_refusal and remaining != 0 and now >= self._held_until:
                accepted = self._accepted_before(turn, now)
                if accepted >= _MIN_LEARNED_RATE:
                    self._learn(now, accepted)
            asked = problem.retry_after or (_HOLD_AFTER_REFUSAL_SECONDS if is_refusal else 0.0)
            if asked <= MAX_HOLD_SECONDS:
                self._held_until = max(self._held_until, now + asked)

    def _closed_for(self, now: float) -> float:
        if now < self._held_until:
            return self._held_until - now
        if self._last_number is None or self._started < self._last_number or now >= self._window_ends:
            return 0.0
        return self._window_ends - now

    def _interval(self, now: float) -> float:
        if now - self._learned_at >= LEARNED_RATE_SECONDS:
            self._learned_interval = 0.0
        return max(self._own_interval, self._learned_interval)

    def _note_window(self, now: float, last_number: int, ends: float) -> None:
        """Take note up to which request the window goes, and when it ends."""
        is_same = now < self._window_ends and abs(ends - self._window_ends) < _SAME_WINDOW_SECONDS
        self._last_number = last_number
        # The reset is told in whole seconds, mostly rounded up.
        self._window_ends = min(ends, self._window_ends) if is_same else ends

    def _learn(self, now: float, per_second: int) -> None:
        self._learned_interval = 1 / (_LEARNED_SHARE * per_second)
        self._learned_at = now

    def _accepted_before(self, turn: Turn, now: float) -> int:
        """Return how many requests were accepted within a second before one that was refused."""
        self._forget_starts(now)
        started_since = self._started - turn.number + 1  # they are refused as well
        return len(self._starts) - started_since

    def _forget_starts(self, now: float) -> None:
        while self._starts and self._starts[0] <= now - 1:
            self._starts.popleft()


def _count(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004 - what a limit can be


def _seconds_to_reset(headers: Mapping[str, str]) -> float | None:
    """Read when the window ends, told in seconds or as a Unix time; None where it is absent or nonsense."""
    try:
        reset = float(headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    if reset >= _FIRST_EPOCH_MILLISECONDS:
        reset /= 1000
    seconds = reset - _server_time(headers) if reset >= _FIRST_EPOCH_SECONDS else reset
    return seconds if 0 <= seconds <= MAX_RESET_SECONDS else None


def _server_time(headers: Mapping[str, str]) -> float:
    """Return the server's time where it tells it, because its clock may differ from ours."""
    moment = parse_http_date(headers.get("date", ""))
    return moment.timestamp() if moment else time.time()


_limiters: dict[tuple[str, Secret[str], float | None], RateLimiter] = {}


def limiter_of(base_url: str, api_key: Secret[str], per_second: float | None) -> RateLimiter:
    """Return the one limiter of this process for an address, key and rate, however many hooks there are."""
    # Without a lock, which a child might inherit while it is held: setdefault is atomic.
    return _limiters.setdefault((base_url, api_key, per_second), RateLimiter(per_second, clock.now))

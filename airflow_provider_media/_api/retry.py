"""The retry policy: returns the delay before the next attempt, or None to stop."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_media._api.values import parse_http_date

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media.exceptions import MediaError


FIRST_DELAY_SECONDS = 0.5
MAX_WAIT_SECONDS = 30.0

MAX_RETRY_AFTER_SECONDS = 300.0
"""Max accepted ``Retry-After``: a longer one, sent for one request, must not block a connection's sensors for a day."""

_RETRY_AFTER_JITTER = 1 / 20
"""Share of ``Retry-After`` by which a wait is randomly longer, so that clients do not return together."""


@dataclass(slots=True, kw_only=True)
class RetryState:
    """The remaining attempts and time of one request.

    :param max_attempts: max number of attempts, the first included.
    :param budget_seconds: max time for retries after the first failure. The transfer of a body, reported to
        :meth:`exclude_time`, does not count; the wait for the response does.
    """

    max_attempts: int
    budget_seconds: float
    clock: Callable[[], float]
    attempts: int = 0
    _first_failure: float | None = None
    _excluded: float = 0.0

    def exclude_time(self, seconds: float) -> None:
        """Exclude the seconds of a body's transfer; before the first failure no time counts anyway."""
        if self._first_failure is not None:
            self._excluded += seconds

    @property
    def seconds_remaining(self) -> float:
        """The remaining seconds of the budget."""
        if self._first_failure is None:
            return self.budget_seconds
        return self.budget_seconds - (self.clock() - self._first_failure - self._excluded)

    def for_lookups(self) -> RetryState:
        """Return a state for lookups of this request's result: new attempts, but the same time budget."""
        return replace(self, attempts=0)

    def next_delay(self, error: MediaError) -> float | None:
        """Return the seconds to wait after a failed attempt, or None to stop.

        ``Retry-After`` is obeyed; if it exceeds the remaining budget, retries stop immediately. The backoff is the min
        wait, because a server may send ``Retry-After: 0`` or a date in the past.
        """
        self.attempts += 1
        if self._first_failure is None:
            self._first_failure = self.clock()
        if not error.is_transient or self.attempts >= self.max_attempts:
            return None
        remaining = self.seconds_remaining
        backoff = backoff_seconds(self.attempts)
        if error.retry_after is None:
            return backoff if backoff <= remaining else None
        if error.retry_after > remaining or remaining <= 0:
            return None
        jitter = error.retry_after * _RETRY_AFTER_JITTER * random.random()  # noqa: S311 - spreads load, not a secret
        requested = error.retry_after + jitter
        return min(max(requested, backoff), remaining)


def backoff_seconds(attempt: int) -> float:
    """Return the exponential backoff after a failed attempt, with jitter."""
    doublings = min(attempt - 1, 30)  # more would overflow
    max_delay = min(MAX_WAIT_SECONDS, FIRST_DELAY_SECONDS * 2.0**doublings)
    return max_delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, not a secret


def parse_retry_after(header: str | None, body_value: object, *, now: datetime | None = None) -> float | None:
    """Return the seconds that the server requests to wait; None if there is no valid value.

    :param header: ``Retry-After``: seconds or an HTTP date (RFC 9110, 10.2.3).
    :param body_value: ``retryAfter`` of the error body: seconds (Media API reference, rate limits).
    """
    seconds = _seconds(header)
    if seconds is None and (until := parse_http_date(header or "")):
        seconds = max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
    if seconds is None:
        seconds = _seconds(body_value)
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER_SECONDS)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < float("inf") else None

"""The one retry policy: a failure in, "give up" or "wait so many seconds" out."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_media._api.timestamps import parse_http_date

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media.exceptions import MediaError


FIRST_DELAY_SECONDS = 0.5
MAX_WAIT_SECONDS = 30.0

MAX_RETRY_AFTER_SECONDS = 300.0
"""A server that asks for a longer wait is asked again after this: what it asks of one request is not to silence all
sensors of a connection for a day."""


@dataclass(slots=True, kw_only=True)
class RetryState:
    """What is left of the tries of one request; made anew for each request, kept over its attempts.

    :param max_attempts: how often the request is sent at most, the first time included.
    :param budget_seconds: how long trying may go on after the first failure; time spent transferring a body,
        told to :meth:`exclude_time`, does not count. The silence of a server that has the body does.
    :param clock: monotonic seconds.
    """

    max_attempts: int
    budget_seconds: float
    clock: Callable[[], float]
    attempts: int = 0
    _first_failure: float | None = None
    _left_out: float = 0.0

    def exclude_time(self, seconds: float) -> None:
        """Do not count these seconds of a body's transfer (only those after the first failure would count at all)."""
        if self._first_failure is not None:
            self._left_out += seconds

    @property
    def seconds_remaining(self) -> float:
        """What is left of the budget now."""
        if self._first_failure is None:
            return self.budget_seconds
        return self.budget_seconds - (self.clock() - self._first_failure - self._left_out)

    def for_lookups(self) -> RetryState:
        """Give tries to requests that look what became of this one: attempts of their own, but no new budget."""
        return replace(self, attempts=0)

    def next_delay(self, problem: MediaError) -> float | None:
        """Decide after a failed attempt: the seconds to wait before the next one, or None to give up.

        What the server asks for (``Retry-After``, ``retryAfter``) is obeyed, and when it is more than what is left,
        trying ends at once: waiting less would be refused, waiting more is not allowed. The backoff is the shortest
        wait all the same: a server that asks for none (0, or a date that its clock or ours takes for past) would
        else be asked all times within a moment.
        """
        self.attempts += 1
        if self._first_failure is None:
            self._first_failure = self.clock()
        if not problem.is_transient or self.attempts >= self.max_attempts:
            return None
        left = self.seconds_remaining
        backoff = backoff_seconds(self.attempts)
        if problem.retry_after is None:
            return backoff if backoff <= left else None
        if problem.retry_after > left or left <= 0:
            return None
        # A little later than asked, by chance: all who were refused together should not return together.
        asked = problem.retry_after * (1 + random.random() / 20)  # noqa: S311 - spreads load, keeps no secret
        return min(max(asked, backoff), left)


def backoff_seconds(attempt: int) -> float:
    """Wait longer after each failed attempt, twice as long as before, and never all at the same moment."""
    doublings = min(attempt - 1, 30)  # more would only overflow
    longest = min(MAX_WAIT_SECONDS, FIRST_DELAY_SECONDS * 2.0**doublings)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret


def parse_retry_after(header: str | None, body_value: object, *, now: datetime | None = None) -> float | None:
    """Read how long the server asks to wait, from the header or else from the body.

    :param header: ``Retry-After``: seconds or an HTTP date (RFC 9110, 10.2.3).
    :param body_value: ``retryAfter`` of the error body: seconds (Media API reference, rate limits).
    :param now: the present, for a date in the header.
    :return: seconds, at most :data:`MAX_RETRY_AFTER_SECONDS`; None where neither says anything.
    """
    seconds = _seconds(header)
    if seconds is None and header:
        seconds = _seconds_until(header, now)
    if seconds is None:
        seconds = _seconds(body_value)
    return None if seconds is None else min(seconds, MAX_RETRY_AFTER_SECONDS)


def _seconds_until(date: str, now: datetime | None) -> float | None:
    moment = parse_http_date(date)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds()) if moment else None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < float("inf") else None

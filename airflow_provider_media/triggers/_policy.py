"""Poll intervals, and the policy that decides which failed polls end a wait."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaError,
    MediaFileError,
    MediaRateLimitError,
)

MIN_INTERVAL_SECONDS = 0.5
"""Minimum poll interval; overrides a smaller ``poke_interval`` or ``poll_interval``."""

FIRST_POLL_SECONDS = 10.0
"""Time limit of the first poll, if the deadline is earlier."""

MAX_JITTER_SECONDS = 1.0

MAX_CONSECUTIVE_FAILURES = 5
"""Default of ``max_poll_failures``."""

UNLIMITED_FAILURES = sys.maxsize
"""The ``max_failures`` of a sensor with Airflow's ``silent_fail``."""


def jitter(interval: float) -> float:
    """Return a random delay of at most a tenth of the interval, so that several processes do not poll in step."""
    return random.random() * min(interval / 10, MAX_JITTER_SECONDS)  # noqa: S311 - spreads load


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """Decides which failed polls end a wait, in a worker and on a triggerer alike.

    Permanent errors (a rejected API key or address, a wrong connection, a file that a channel rejects) end it
    immediately, and so does an exception that is not a :class:`MediaError`, such as Airflow's for an unknown
    connection. All other errors are transient: they end it when ``max_failures`` consecutive polls failed. A rate limit
    is not counted.

    :param max_failures: consecutive failures that end the wait. With :data:`UNLIMITED_FAILURES` only permanent errors
        end it.
    """

    max_failures: int = MAX_CONSECUTIVE_FAILURES

    def count(self, failures: int, error: Exception | None) -> int:
        """Return the number of consecutive failures after a poll.

        :param failures: the number before it.
        :param error: the poll's error, or None if it succeeded.
        """
        if error is None:
            return 0
        return failures if isinstance(error, MediaRateLimitError) else failures + 1

    def is_permanent(self, error: Exception) -> bool:
        """Return whether the error ends the wait even with :data:`UNLIMITED_FAILURES`, and after the deadline."""
        if isinstance(error, MediaError):
            return isinstance(error, (MediaAuthError, MediaConfigurationError, MediaFileError))
        return isinstance(error, (AirflowFailException, AirflowSkipException))

    def ends_wait(self, failures: int, error: Exception) -> bool:
        """Return whether the error of the last poll ends the wait.

        :param failures: the number of consecutive failures, this one included.
        """
        if self.is_permanent(error):
            return True
        if not isinstance(error, MediaError):
            return self.max_failures < UNLIMITED_FAILURES
        return failures >= self.max_failures

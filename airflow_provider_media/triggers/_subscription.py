"""What one trigger has its connection's poller watch for."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from airflow_provider_media.exceptions import MediaAuthError, MediaConfigurationError, MediaRateLimitError

if TYPE_CHECKING:
    from airflow_provider_media._polling.lookup import Found, LookupResult, WaitCriteria

FIRST_POLL_SECONDS = 10.0
"""Time for the first look, also where a deadline leaves less."""


class Subscription:
    """What one trigger waits for, and what is known of it so far.

    :param wanted: ids or names.
    :param interval: seconds between looks.
    :param max_failures: how many looks in a row may fail before the wait does.
    :param look_by: when the first look should come at the latest, by the loop's clock.

    :ivar found: what is there.
    :ivar looks: how many looks there were.
    :ivar failure: why the last look failed, if it did.
    :ivar error: what ends the wait.
    """

    def __init__(self, wanted: WaitCriteria, *, interval: float, max_failures: int, look_by: float = math.inf) -> None:
        """Know of nothing yet."""
        self.wanted = wanted
        self.look_by = look_by
        self.interval = interval
        self.found: Found = {}
        self.looks = 0
        self.failure: Exception | None = None
        self.failures = 0
        self.error: Exception | None = None
        self.due = 0.0
        self._max_failures = max_failures
        self._changed = asyncio.Event()

    @property
    def missing(self) -> tuple[str, ...]:
        """What is still waited for."""
        return self.wanted.missing(self.found)

    async def changed(self) -> None:
        """Wait for the next look that tells something new: something found, a failure, or its end."""
        await self._changed.wait()
        self._changed.clear()

    def take(self, seen: LookupResult) -> None:
        """Take note of what a look saw, as far as it is wanted and new."""
        news = {key: found for key, found in self.wanted.satisfied_by(seen).items() if key not in self.found}
        if news:
            self.found |= news
            self._changed.set()

    def record_poll(self, failure: Exception | None) -> None:
        """Take note of a look's end."""
        self.looks += 1
        if failure is None:
            self.failures = 0
        elif not isinstance(failure, MediaRateLimitError):
            self.failures += 1
        if isinstance(failure, (MediaAuthError, MediaConfigurationError)) or self.failures >= self._max_failures:
            self.error = failure
        if failure or self.failure or self.looks == 1:
            self._changed.set()
        self.failure = failure

    def end(self, error: Exception) -> None:
        """End the wait with an error: no look will come any more."""
        self.error = error
        self._changed.set()

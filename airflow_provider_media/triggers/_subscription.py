"""The part of a shared poll that one trigger waits for."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_media._polling.criteria import Found, LookupResult, WaitCriteria
    from airflow_provider_media.triggers._policy import PollPolicy


class Subscription:
    """The criteria of one trigger, and the results of its polls so far.

    :param criteria: the ids or names.
    :param interval: seconds between polls.
    :param policy: decides which failed polls end the wait.
    :param first_poll_by: the latest time of the first poll, by the event loop's clock.
    :param found_before: the number of ids or names that the sensor found before, for the progress.

    :ivar found: the files found so far.
    :ivar counts: the number of files of each pattern of which several are needed.
    :ivar polls: the number of polls.
    :ivar failure: the error of the last poll, or None if it succeeded.
    :ivar failures: the number of consecutive failed polls.
    :ivar error: the error that ended the wait, or None.
    :ivar due: the time of the next poll, by the event loop's clock.
    """

    def __init__(
        self,
        criteria: WaitCriteria,
        *,
        interval: float,
        policy: PollPolicy,
        first_poll_by: float = math.inf,
        found_before: int = 0,
    ) -> None:
        self.criteria = criteria
        self.interval = interval
        self.first_poll_by = first_poll_by
        self.found_before = found_before
        self.found: Found = {}
        self.counts: dict[str, int] = {}
        self.polls = 0
        self.failure: Exception | None = None
        self.failures = 0
        self.error: Exception | None = None
        self.due = 0.0
        self._policy = policy
        self._changed = asyncio.Event()

    @property
    def progress(self) -> str:
        """The numbers of found and missing files, and their ids or names."""
        return self.criteria.progress(self.found, self.counts, found_before=self.found_before)

    @property
    def missing(self) -> tuple[str, ...]:
        """The ids or names that are not found yet."""
        return self.criteria.missing(self.found)

    async def changed(self) -> None:
        """Wait for a poll that found files, failed, recovered or was the first; or for the end of polling."""
        await self._changed.wait()
        self._changed.clear()

    def record_poll(self, result: LookupResult, error: Exception | None) -> None:
        """Record the result of a poll.

        :param error: why the whole poll failed, possibly after it found files.
        """
        self.record_found(result, is_complete=error is None)
        errors = result.id_errors if self.criteria.ids else result.name_errors
        failure = error or next((errors[key] for key in self.missing if key in errors), None)
        self.polls += 1
        if failure or self.failure or self.polls == 1:
            self._changed.set()
        self.failure = failure
        self.failures = self._policy.count(self.failures, failure)
        if failure and self._policy.ends_wait(self.failures, failure):
            self.error = failure

    def record_found(self, result: LookupResult, *, is_complete: bool) -> None:
        """Add the files that a poll found.

        :param is_complete: whether the poll succeeded.
        """
        new = {key: found for key, found in self.criteria.satisfied_by(result).items() if key not in self.found}
        counts = self.criteria.counts(result) if is_complete and self.criteria.min_matches > 1 else self.counts
        if new or counts != self.counts:
            self.found |= new
            self.counts = counts
            self._changed.set()

    def fail(self, error: Exception) -> None:
        """Fail the wait, because polling has stopped."""
        self.error = error
        self._changed.set()

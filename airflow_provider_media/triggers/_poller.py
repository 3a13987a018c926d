"""The shared poll of a connection, and the policy that decides which failed polls end a wait.

All triggers that wait on one event loop share a poller and its connections.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import random
import sys
import weakref
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from airflow_provider_media._polling.criteria import LookupResult, Progress
from airflow_provider_media._polling.lookup import SharedLookup
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaError,
    MediaFileError,
    MediaRateLimitError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable

    from airflow_provider_media.hooks.media import MediaAsyncHook

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


def retry_after(error: Exception | None) -> float:
    """Return the seconds that the server asks to wait, or 0."""
    return (isinstance(error, MediaError) and error.retry_after) or 0.0


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """Decides which failed polls end a wait, in a worker and on a triggerer alike.

    Permanent errors (a rejected API key or address, a wrong connection, a file that a channel rejects) end it
    immediately, and so does an exception that is not a :class:`MediaError`, such as Airflow's for an unknown
    connection. All other errors are transient: they end it when ``max_failures`` consecutive polls failed. A rate limit
    is not counted.
    """

    max_failures: int = MAX_CONSECUTIVE_FAILURES

    def count(self, failures: int, error: Exception | None) -> int:
        """Return the number of consecutive failures after a poll."""
        if error is None:
            return 0
        return failures if isinstance(error, MediaRateLimitError) else failures + 1

    def is_permanent(self, error: Exception) -> bool:
        """Return whether the error ends the wait even with :data:`UNLIMITED_FAILURES`, and after the deadline."""
        if isinstance(error, MediaError):
            return isinstance(error, (MediaAuthError, MediaConfigurationError, MediaFileError))
        return isinstance(error, (AirflowFailException, AirflowSkipException))

    def ends_wait(self, failures: int, error: Exception) -> bool:
        """Return whether the error of the last poll ends the wait."""
        if self.is_permanent(error):
            return True
        if not isinstance(error, MediaError):
            return self.max_failures < UNLIMITED_FAILURES
        return failures >= self.max_failures


@dataclass(kw_only=True, eq=False)
class Subscription(Progress):
    """The criteria of one trigger, and the results of its polls so far.

    :param first_poll_by: the latest time of the first poll, by the event loop's clock.
    :ivar due: the time of the next poll, by the event loop's clock.
    """

    interval: float
    policy: PollPolicy
    first_poll_by: float = math.inf
    polls: int = field(default=0, init=False)
    failure: Exception | None = field(default=None, init=False)
    failures: int = field(default=0, init=False)
    error: Exception | None = field(default=None, init=False)
    due: float = field(default=0.0, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def changed(self) -> None:
        """Wait for a poll that found files, failed, recovered or was the first; or for the end of polling."""
        await self._changed.wait()
        self._changed.clear()

    def record_poll(self, result: LookupResult, error: Exception | None, *, is_due: bool) -> None:
        """Record the result of a poll; only the files that it found if the subscription was not due."""
        new = {key: found for key, found in self.criteria.satisfied_by(result).items() if key not in self.found}
        counts = self.criteria.counts(result) if error is None and result.is_whole else self.counts
        is_changed = bool(new) or counts != self.counts
        self.found |= new
        self.counts = counts
        if is_due:
            errors = result.id_errors if self.criteria.ids else result.name_errors
            failure = error or next((errors[key] for key in self.missing if key in errors), None)
            is_changed = is_changed or bool(failure or self.failure) or not self.polls
            self.polls += 1
            self.failure = failure
            self.failures = self.policy.count(self.failures, failure)
            if failure and self.policy.ends_wait(self.failures, failure):
                self.error = failure
        if is_changed:
            self._changed.set()

    def fail(self, error: Exception) -> None:
        """Fail the wait, because polling has stopped."""
        self.error = error
        self._changed.set()


log = logging.getLogger(__name__)

_SUBSCRIPTIONS_PER_TURN = 10


class Poller:
    """Polls for all subscriptions of one connection, at the shortest of their intervals.

    :ivar not_before: the earliest time of the next poll, by the event loop's clock, because the server may have asked
        to wait.
    """

    def __init__(self, hook: MediaAsyncHook) -> None:
        self._hook = hook
        self.subscriptions: dict[Subscription, None] = {}  # in the order in which they were added
        self._failed_ids: frozenset[str] = frozenset()  # of the last poll
        self._lookup = SharedLookup()
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._last_poll = -math.inf
        # A short delay, because after a restart of the triggerer all triggers subscribe within a moment.
        self.not_before = self._clock() + MIN_INTERVAL_SECONDS * random.random()  # noqa: S311 - spreads load
        self._wake = asyncio.Event()
        # An empty context, so that the log lines do not go to the task log of the first trigger.
        self.task = loop.create_task(self._run(), context=contextvars.Context())
        self.task.add_done_callback(self._fail_subscriptions)

    def add(self, subscription: Subscription) -> None:
        """Include a subscription in the next poll; its interval or ``first_poll_by`` may bring that poll forward."""
        subscription.interval = max(subscription.interval, MIN_INTERVAL_SECONDS)
        subscription.due = min(self._last_poll + subscription.interval, subscription.first_poll_by)
        self.subscriptions[subscription] = None
        self._wake.set()

    def remove(self, subscription: Subscription) -> None:
        """Leave a subscription out of the following polls."""
        self.subscriptions.pop(subscription, None)

    async def stop(self) -> None:
        """Stop polling and close the connections."""
        self.task.cancel()
        await asyncio.wait({self.task})

    async def _run(self) -> None:
        try:
            while True:
                while (seconds := self._next_poll - self._clock()) > 0:
                    self._wake.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await self._wake.wait()
                await self._poll()
        finally:
            await self._hook.aclose()

    def _fail_subscriptions(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error:
            log.error("Shared poll failed; subscribed sensors: %d", len(self.subscriptions), exc_info=error)
        cause = f"{type(error).__name__}, see the triggerer's log" if error else "cancelled"
        for subscription in self.subscriptions:
            subscription.fail(MediaError(f"The shared poll of the connection stopped: {cause}. Retry the task."))

    @property
    def _next_poll(self) -> float:
        first_due = min((subscription.due for subscription in self.subscriptions), default=math.inf)
        return max(first_due, self._last_poll + MIN_INTERVAL_SECONDS, self.not_before)

    async def _poll(self) -> None:
        started = self._last_poll = self._clock()
        following = started + min((each.interval for each in self.subscriptions), default=0.0)
        due = {each: None for each in self.subscriptions if each.due < following or not each.polls}
        failure = await self._find(due)
        # Others may have subscribed during the poll.
        interval = min((each.interval for each in self.subscriptions), default=MIN_INTERVAL_SECONDS)
        extra = jitter(interval)
        for subscription in due:
            subscription.due = started + subscription.interval + extra
        delay = min(interval / 10, MIN_INTERVAL_SECONDS)  # even after a slow poll
        if isinstance(failure, MediaRateLimitError):
            delay = interval
        if seconds := retry_after(failure):
            delay = max(delay, seconds + extra)
        self.not_before = self._clock() + delay

    async def _find(self, due: Collection[Subscription]) -> Exception | None:
        """Find all missing ids and names, and record the results; return the error that concerns all of them."""
        ids, names = _missing(due)
        ids.sort(key=self._failed_ids.__contains__)  # last, because they may be slow
        if not (ids or names):
            return None
        others = [subscription for subscription in self.subscriptions if subscription not in due]
        also_ids, also_names = _missing(others)
        needs: dict[str, frozenset[str]] = {}
        for subscription in self.subscriptions:
            if subscription.criteria.needs:
                for key in subscription.missing:
                    needs[key] = needs.get(key, frozenset()) | subscription.criteria.needs
        result = LookupResult()
        failure: Exception | None = None
        try:
            flow = self._lookup.run(ids, names, also_ids=also_ids, also_names=also_names, needs=needs, result=result)
            await self._hook.run_flow(flow)
        except Exception as error:  # noqa: BLE001 - each subscription decides by its policy
            failure = error
            log.warning("Shared poll failed (%d ids, %d names): %s", len(ids), len(names), error)
        self._failed_ids = frozenset(result.id_errors)
        if failures := [*result.id_errors.values(), *result.name_errors.values()]:
            count = len(ids) + len(names)
            log.warning("Lookup failed for %d of %d ids and names. First error: %s", len(failures), count, failures[0])
        for number, subscription in enumerate([*due, *others], start=1):
            subscription.record_poll(result, failure, is_due=subscription in due)
            if number % _SUBSCRIPTIONS_PER_TURN == 0:
                # Yield, because the triggerer needs half a second for a thousand events.
                await asyncio.sleep(0)
        return failure


def _missing(subscriptions: Iterable[Subscription]) -> tuple[list[str], list[str]]:
    """Return the missing ids and the missing names of subscriptions."""
    ids = dict.fromkeys(key for each in subscriptions if each.criteria.ids for key in each.missing)
    names = dict.fromkeys(key for each in subscriptions if each.criteria.names for key in each.missing)
    return list(ids), list(names)


_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = weakref.WeakKeyDictionary()


@asynccontextmanager
async def subscribe(media_conn_id: str, subscription: Subscription) -> AsyncIterator[None]:
    """Subscribe to the connection's shared poller; the last subscriber closes it."""
    from airflow_provider_media.hooks.media import MediaAsyncHook

    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    poller = pollers.get(media_conn_id)
    if poller is None or poller.task.done():
        poller = pollers[media_conn_id] = Poller(MediaAsyncHook(media_conn_id))
    try:
        poller.add(subscription)
        yield
    finally:
        poller.remove(subscription)
        if not poller.subscriptions:
            if pollers.get(media_conn_id) is poller:
                del pollers[media_conn_id]
            await poller.stop()

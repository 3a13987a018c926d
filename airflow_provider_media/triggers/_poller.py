"""One poll for all: the triggers of a connection that wait on one event loop share a poller and its connections."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import random
import weakref
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from airflow_provider_media._api.waiting import Found, LibrarySize, Seen, Wanted, look
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaRateLimitError,
)
from airflow_provider_media.triggers._heap import MANY, freeze_heap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from airflow_provider_media.hooks.media import MediaAsyncHook

log = logging.getLogger(__name__)

SHORTEST_INTERVAL_SECONDS = 0.5
"""No poll is more frequent, whatever was asked for."""

_LONGEST_JITTER_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_TOLD_AT_A_TIME = 10


class Watch:
    """What one trigger waits for, and what is known of it so far.

    :param wanted: ids or names.
    :param interval: seconds between looks.
    :param max_failures: how many looks in a row may fail before the wait does.

    :ivar found: what is there.
    :ivar looks: how many looks there were.
    :ivar failure: why the last look failed, if it did.
    :ivar error: what ends the wait.
    """

    def __init__(self, wanted: Wanted, *, interval: float, max_failures: int) -> None:
        """Know of nothing yet."""
        self.wanted = wanted
        self.interval = max(interval, SHORTEST_INTERVAL_SECONDS)
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

    def take(self, seen: Seen) -> None:
        """Take note of what a look saw, as far as it is wanted and new."""
        news = {key: found for key, found in self.wanted.satisfied_by(seen).items() if key not in self.found}
        if news:
            self.found |= news
            self._changed.set()

    def looked(self, failure: Exception | None) -> None:
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


class Poller:
    """Looks for all that is watched through one connection, as often as the shortest interval wants.

    :param hook: the connection.
    """

    def __init__(self, hook: MediaAsyncHook) -> None:
        """Start the task that looks; a little later, for others are about to join: after a restart, all of them."""
        self._hook = hook
        self._watches: dict[Watch, None] = {}  # in the order in which they joined
        self._size = LibrarySize()
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._last_look = -math.inf
        self._next_look = self._clock() + SHORTEST_INTERVAL_SECONDS * random.random()  # noqa: S311 - spreads load
        self._not_before = 0.0
        self._wake = asyncio.Event()
        # In a context of its own: that of the trigger which happens to be the first would send our log lines to its
        # task's log.
        self._task = loop.create_task(self._run(), context=contextvars.Context())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is watched."""
        return not self._watches

    def add(self, watch: Watch) -> None:
        """Watch for something from the next look on, which serves all; its interval may bring that look forward."""
        watch.due = self._clock()
        self._watches[watch] = None
        if len(self._watches) == MANY:
            freeze_heap()
        if self._last_look > -math.inf:
            self._next_look = min(self._next_look, max(self._last_look + watch.interval, self._not_before))
            self._wake.set()

    def remove(self, watch: Watch) -> None:
        """Watch for it no longer."""
        self._watches.pop(watch, None)

    async def stop(self) -> None:
        """Stop looking and close the connections."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while True:
                while (wait := self._next_look - self._clock()) > 0:
                    self._wake.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._wake.wait()
                await self._look()
        finally:
            await self._hook.aclose()

    async def _look(self) -> None:
        started = self._last_look = self._clock()
        period = min((watch.interval for watch in self._watches), default=_LONGEST_PAUSE_SECONDS)
        # Also those that would be overdue by the next look.
        due = [watch for watch in self._watches if watch.due < started + period]
        failure = await self._serve(due)
        for watch in due:
            watch.due = started + watch.interval
        ended = self._clock()
        self._not_before = ended + min(period / 10, SHORTEST_INTERVAL_SECONDS)  # even after a look that took long
        if isinstance(failure, MediaRateLimitError):
            self._not_before = ended + max(period, failure.retry_after or 0.0)
        # By chance a little later, so that several triggerers do not ask at the same moment.
        jitter = random.random() * min(period / 10, _LONGEST_JITTER_SECONDS)  # noqa: S311 - spreads load
        self._next_look = max(started + period + jitter, self._not_before)

    async def _serve(self, watches: Iterable[Watch]) -> Exception | None:
        """Look once for all that the watches miss; tell them, and return why it failed, if it did."""
        ids = dict.fromkeys(key for watch in watches if watch.wanted.ids for key in watch.missing)
        names = dict.fromkeys(key for watch in watches if watch.wanted.names for key in watch.missing)
        if not (ids or names):
            return None
        seen = Seen()
        failure: Exception | None = None
        try:
            await self._hook.run_flow(look(ids, names, size=self._size, seen=seen))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            failure = error
            log.warning("A look for %d ids and %d names failed: %s", len(ids), len(names), error)
        for number, watch in enumerate(watches, start=1):
            watch.take(seen)
            watch.looked(failure)
            if number % _TOLD_AT_A_TIME == 0:
                # What a triggerer does with a thousand events takes half a second; let others have their turns between.
                await asyncio.sleep(0)
        return failure


_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = weakref.WeakKeyDictionary()


@asynccontextmanager
async def watched(media_conn_id: str, watch: Watch) -> AsyncIterator[None]:
    """Have something watched by the poller of a connection; the last to leave closes it.

    :param media_conn_id: the Airflow connection, of type ``media``.
    """
    from airflow_provider_media.hooks.media import MediaAsyncHook

    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    poller = pollers.get(media_conn_id)
    if poller is None:
        poller = pollers[media_conn_id] = Poller(MediaAsyncHook(media_conn_id))
    poller.add(watch)
    try:
        yield
    finally:
        poller.remove(watch)
        if poller.is_idle:
            del pollers[media_conn_id]
            await poller.stop()

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

from airflow_provider_media._polling.lookup import LibrarySize, LookupResult, look
from airflow_provider_media.exceptions import MediaError, MediaRateLimitError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from airflow_provider_media.hooks.media import MediaAsyncHook
    from airflow_provider_media.triggers._subscription import Subscription

log = logging.getLogger(__name__)

MIN_INTERVAL_SECONDS = 0.5
"""No poll is more frequent, whatever was asked for."""

_MAX_JITTER_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 60.0
_TOLD_AT_A_TIME = 10


class Poller:
    """Looks for all that is watched through one connection, as often as the shortest interval wants.

    :param hook: the connection.
    :param not_before: when the first look may come at the earliest, by the loop's clock.

    :ivar not_before: likewise for the next look: the server may have asked to wait.
    """

    def __init__(self, hook: MediaAsyncHook, *, not_before: float = 0.0) -> None:
        """Start the task that looks; a little later, for others are about to join: after a restart, all of them."""
        self._hook = hook
        self._watches: dict[Subscription, None] = {}  # in the order in which they joined
        self._size = LibrarySize()
        self._failed: frozenset[str] = frozenset()  # the ids that could not be asked for in the last look
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._last_look = -math.inf
        self.not_before = not_before
        soon = self._clock() + MIN_INTERVAL_SECONDS * random.random()  # noqa: S311 - spreads load
        self._next_look = max(soon, not_before)
        self._wake = asyncio.Event()
        # In a context of its own: that of the trigger which happens to be the first would send our log lines to its
        # task's log.
        self._task = loop.create_task(self._run(), context=contextvars.Context())
        self._task.add_done_callback(self._tell_the_end)

    @property
    def waiting(self) -> int:
        """How many watch."""
        return len(self._watches)

    @property
    def is_over(self) -> bool:
        """Whether it looks no more, for whatever reason."""
        return self._task.done()

    def add(self, watch: Subscription) -> None:
        """Watch for something from the next look on, which serves all.

        Its interval may bring that look forward, or the end of its time, by which it is to have had one look: that is
        one look more for all whose time ends together.
        """
        watch.interval = max(watch.interval, MIN_INTERVAL_SECONDS)
        watch.due = self._clock()
        self._watches[watch] = None
        if self._last_look > -math.inf:
            self._next_look = min(self._next_look, self._allowed(min(self._last_look + watch.interval, watch.look_by)))
            self._wake.set()

    def remove(self, watch: Subscription) -> None:
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

    def _tell_the_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error:
            log.error("The poll that %d sensors share broke down", len(self._watches), exc_info=error)
        why = f"{type(error).__name__}; the triggerer's log tells more" if error else "it was cancelled"
        for watch in self._watches:
            watch.end(MediaError(f"The poll that all sensors of the connection share broke down ({why}); try again."))

    def _allowed(self, moment: float) -> float:
        """Tell when a look may come that is wanted at some moment."""
        return max(moment, self._last_look + MIN_INTERVAL_SECONDS, self.not_before)

    def _period(self) -> float:
        return min((watch.interval for watch in self._watches), default=_MAX_PAUSE_SECONDS)

    async def _look(self) -> None:
        started = self._last_look = self._clock()
        next_look = started + self._period()
        due = [watch for watch in self._watches if watch.due < next_look]  # also those that would be overdue by then
        failure = await self._serve(due)
        for watch in due:
            watch.due = started + watch.interval
        period = self._period()  # others may have joined during the look
        # By chance a little later, so that several triggerers do not ask at the same moment.
        jitter = random.random() * min(period / 10, _MAX_JITTER_SECONDS)  # noqa: S311 - spreads load
        pause = min(period / 10, MIN_INTERVAL_SECONDS)  # even after a look that took long
        if isinstance(failure, MediaRateLimitError):
            pause = period
        if isinstance(failure, MediaError) and failure.retry_after:
            pause = max(pause, failure.retry_after + jitter)
        self.not_before = self._clock() + pause
        look_by = min((watch.look_by for watch in self._watches if not watch.looks), default=math.inf)
        self._next_look = self._allowed(min(started + period + jitter, look_by))

    async def _serve(self, watches: Iterable[Subscription]) -> Exception | None:
        """Look once for all that the watches miss; tell them, and return why it failed, if it did."""
        ids = list(dict.fromkeys(key for watch in watches if watch.wanted.ids for key in watch.missing))
        ids.sort(key=self._failed.__contains__)  # those last, for they may take long
        names = dict.fromkeys(key for watch in watches if watch.wanted.names for key in watch.missing)
        if not (ids or names):
            return None
        seen = LookupResult()
        failure: Exception | None = None
        try:
            await self._hook.run_flow(look(ids, names, size=self._size, seen=seen, make_sure=False))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            failure = error
            log.warning("A look for %d ids and %d names failed: %s", len(ids), len(names), error)
        self._failed = frozenset(seen.failures)
        id_failures, name_failures = seen.failures, seen.name_failures
        if failures := [*id_failures.values(), *name_failures.values()]:
            wanted = len(ids) + len(names)
            log.warning("%d of %d ids and names failed, as this one: %s", len(failures), wanted, failures[0])
        for number, watch in enumerate(watches, start=1):
            watch.take(seen)
            own_failures = id_failures if watch.wanted.ids else name_failures
            own = (own_failures[key] for key in watch.missing if key in own_failures)
            watch.record_poll(failure or next(iter(own), None))
            if number % _TOLD_AT_A_TIME == 0:
                # What a triggerer does with a thousand events takes half a second; let others have their turns between.
                await asyncio.sleep(0)
        return failure


_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Poller]] = weakref.WeakKeyDictionary()
_pauses: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, float]] = weakref.WeakKeyDictionary()
"""What the pollers that ended were asked to wait, by connection: the next one's ``not_before``."""


@asynccontextmanager
async def subscribe(media_conn_id: str, watch: Subscription) -> AsyncIterator[None]:
    """Have something watched by the poller of a connection; the last to leave closes it.

    :param media_conn_id: the Airflow connection, of type ``media``.
    """
    from airflow_provider_media.hooks.media import MediaAsyncHook

    loop = asyncio.get_running_loop()
    pollers, pauses = _pollers.setdefault(loop, {}), _pauses.setdefault(loop, {})
    poller = pollers.get(media_conn_id)
    if poller is None or poller.is_over:
        not_before = poller.not_before if poller is not None else pauses.pop(media_conn_id, 0.0)
        poller = pollers[media_conn_id] = Poller(MediaAsyncHook(media_conn_id), not_before=not_before)
    try:
        poller.add(watch)
        yield
    finally:
        poller.remove(watch)
        if not poller.waiting:
            if pollers.get(media_conn_id) is poller:
                del pollers[media_conn_id]
                if poller.not_before > loop.time():
                    pauses[media_conn_id] = poller.not_before
            await poller.stop()

"""The poll of event triggers, as far back as its watchers need, and the delay of the last of several events."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_media._polling.cursor import Cursor
from airflow_provider_media._polling.newest import NewestMedia, SortField, list_newest
from airflow_provider_media.triggers import _poller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_media.models import Media

LAST_EVENT_DELAY_SECONDS = 20.0
"""The delay of the last of several events.

Airflow (up to 3.3.2 at least) starts a run with the events up to the one that requested the run. Events written between
that one and the run's creation wait for another event (apache/airflow issue 54659). So the last event must request the
run, after the scheduler has processed the others.
"""

_SECONDS_PER_WRITE = 0.1


class EventDelay:
    """Holds the last of several events until Airflow has processed the others.

    :cvar written_at: the estimated time at which Airflow has written the events of all watchers of the triggerer into
        its database. It writes them one after the other, and does not report what it has written.
    """

    written_at: ClassVar[float] = 0.0

    def __init__(self) -> None:
        self._held: tuple[int, Media] | None = None
        self._processed_at = 0.0

    @classmethod
    def backlog_seconds(cls) -> float:
        """Return the estimated time until all events are written."""
        return max(0.0, cls.written_at - time.monotonic())

    @property
    def held_position(self) -> int | None:
        """The position of the file whose event is held."""
        return self._held[0] if self._held else None

    def select(self, new: list[tuple[int, Media]], matches: Callable[[Media], bool]) -> list[tuple[int, Media]]:
        """Return the new files without the one whose event is held.

        That file is not marked as seen, and so is new in the next poll too.
        """
        if self._held and self._held[1].id not in {media.id for _, media in new}:
            new = [self._held, *new]  # it was deleted
        matching = [pair for pair in new if matches(pair[1])]
        must_wait = len(matching) > 1 or time.monotonic() < self._processed_at
        self._held = matching[-1] if matching and must_wait else None
        return [pair for pair in new if pair is not self._held]

    def record_event(self) -> None:
        """Record that an event was yielded."""
        EventDelay.written_at = max(EventDelay.written_at, time.monotonic()) + _SECONDS_PER_WRITE
        self._processed_at = EventDelay.written_at + LAST_EVENT_DELAY_SECONDS


log = logging.getLogger(__name__)


class ReadDepth:
    """How far back a poll reads the list: to where late files may appear, and once to what a watcher missed.

    :ivar requested: set by :meth:`request`, and cleared by the poll.
    """

    def __init__(self) -> None:
        self._cursor: Cursor | None = None
        self._requested: int | None = None
        self.requested = asyncio.Event()

    @property
    def sort_by(self) -> SortField:
        """The sort field of the next poll."""
        return self._cursor.sort_by if self._cursor else "id"

    @property
    def down_to(self) -> int | None:
        """The position down to which the next poll reads; None before the first poll."""
        if self._cursor is None:
            return None
        return (self._cursor.floor if self._requested is None else self._requested) + 1

    def request(self, floor: int, sort_by: SortField) -> None:
        """Request an early poll that reads down to a position; it serves all watchers that request one."""
        if self.down_to is not None and sort_by == self.sort_by and floor + 1 < self.down_to:
            self._requested = floor
            self.requested.set()

    def update(self, newest: NewestMedia) -> None:
        """Record the result of a poll."""
        if self._cursor is None or newest.sort_by != self._cursor.sort_by:
            self._cursor, self._requested = Cursor.at_newest(newest), None
        elif self._requested is not None and newest.reaches(self._requested):
            # Read down to there for a while, because files may appear late.
            self._cursor, self._requested = Cursor(newest.sort_by, self._requested), None
        now = time.time()
        for position, media in self._cursor.new_in(newest):
            self._cursor.mark_seen(position, media, now)
        self._cursor.prune(now, to_remember=newest.outliers)


async def poll(media_conn_id: str, interval: float, depth: ReadDepth) -> AsyncIterator[NewestMedia]:
    """Poll forever and yield the newest files; log failures, and continue."""
    from airflow_provider_media.hooks.media import MediaAsyncHook

    newest: NewestMedia | None = None
    async with MediaAsyncHook(media_conn_id) as hook:
        while True:
            delay = max(interval, _poller.MIN_INTERVAL_SECONDS)
            try:
                newest = await hook.run_flow(list_newest(sort_by=depth.sort_by, down_to=depth.down_to))
            except Exception as error:  # noqa: BLE001 - a watcher never ends
                log.warning("Poll for new media failed (connection %s): %s", media_conn_id, error)
                delay = max(delay, _poller.retry_after(error) + _poller.jitter(interval))
                min_delay = delay
            else:
                depth.update(newest)
                min_delay = _poller.MIN_INTERVAL_SECONDS
                yield newest
            ended = time.monotonic()
            next_poll = ended + delay
            while (remaining := next_poll - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(depth.requested.wait(), min(remaining, LAST_EVENT_DELAY_SECONDS + 1))
                if depth.requested.is_set():
                    depth.requested.clear()
                    next_poll = ended + min_delay
                elif newest and time.monotonic() < next_poll:
                    yield newest  # for watchers that hold an event

"""The poll behind event triggers: the newest files again and again, read as far down as its watchers need."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING

from airflow_provider_media._polling.cursor import Cursor
from airflow_provider_media._polling.newest import NewestMedia, SortField, list_newest
from airflow_provider_media.triggers import _event_delivery as _event_spacing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)

MIN_INTERVAL_SECONDS = 0.5


class ReadDepth:
    """How far down the list a poll reads: to where late files may show up, and once to what a watcher missed."""

    def __init__(self) -> None:
        """Begin with the newest page."""
        self._cursor: Cursor | None = None
        self._asked: int | None = None
        self._was_asked = asyncio.Event()

    @property
    def sort_by(self) -> SortField:
        """What the next look orders by."""
        return self._cursor.sort_by if self._cursor else "id"

    @property
    def down_to(self) -> int | None:
        """The place down to which the next look reads."""
        if self._cursor is None:
            return None
        return (self._cursor.floor if self._asked is None else self._asked) + 1

    def ask(self, floor: int, sort_by: SortField) -> None:
        """Have the list read down to a place, soon; one look serves all who ask.

        :param floor: the place.
        :param sort_by: what it is made of.
        """
        if self.down_to is not None and sort_by == self.sort_by and floor + 1 < self.down_to:
            self._asked = floor
            self._was_asked.set()

    async def asked_within(self, seconds: float) -> bool:
        """Wait for somebody to ask."""
        try:
            async with asyncio.timeout(seconds):
                await self._was_asked.wait()
        except TimeoutError:
            return False
        self._was_asked.clear()
        return True

    def take(self, arrivals: NewestMedia) -> None:
        """Take note of what a look gave."""
        if self._cursor is None or arrivals.sort_by != self._cursor.sort_by:
            self._cursor, self._asked = Cursor.at_newest(arrivals), None
        elif self._asked is not None and arrivals.reaches(self._asked):
            # For a while down to there, as files may still show up late.
            self._cursor, self._asked = Cursor(arrivals.sort_by, self._asked), None
        now = time.time()
        for place, media in self._cursor.new_in(arrivals):
            self._cursor.note(place, media, now)
        self._cursor.settle(now, to_remember=arrivals.outliers)


async def poll(media_conn_id: str, interval: float, depth: ReadDepth) -> AsyncIterator[NewestMedia]:
    """Give the newest files again and again; a failure is logged, and mended by the next look if it can be.

    :param media_conn_id: the Airflow connection, of type ``media``.
    :param interval: seconds between looks.
    :param depth: how far down each look reads.
    """
    from airflow_provider_media.exceptions import MediaError
    from airflow_provider_media.hooks.media import MediaAsyncHook

    arrivals: NewestMedia | None = None
    async with MediaAsyncHook(media_conn_id) as hook:
        while True:
            pause = max(interval, MIN_INTERVAL_SECONDS)
            try:
                arrivals = await hook.run_flow(list_newest(sort_by=depth.sort_by, down_to=depth.down_to))
            except Exception as error:  # noqa: BLE001 - a watcher goes on for ever
                log.warning("A look for new media through %s failed: %s", media_conn_id, error)
                if isinstance(error, MediaError) and error.retry_after:
                    # By chance a little later, so that not all who were told to wait are back at the same moment.
                    pause = max(pause, error.retry_after * (1 + random.random() / 20))  # noqa: S311 - spreads load
                shortest_pause = pause
            else:
                depth.take(arrivals)
                shortest_pause = MIN_INTERVAL_SECONDS
                yield arrivals
            ended = time.monotonic()
            next_look = ended + pause
            while (left := next_look - time.monotonic()) > 0:
                if await depth.asked_within(min(left, _event_spacing.APART_SECONDS + 1)):
                    next_look = ended + shortest_pause
                elif arrivals and time.monotonic() < next_look:
                    yield arrivals  # for those who keep an event back

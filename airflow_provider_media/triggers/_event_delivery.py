"""Delays the last of several events, so that Airflow has processed the others before it arrives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media.models import Media

LAST_EVENT_DELAY_SECONDS = 20.0
"""The delay of the last of several events.

Airflow (up to 3.3.2 at least) starts a run with the events up to the one that requested the run. Events written between
that one and the run's creation wait for another event (apache/airflow issue 54659). So the last event must request the
run, after the scheduler has processed the others.
"""

_SECONDS_PER_WRITE = 0.1


class Backlog:
    """Estimates when Airflow has written the events of all watchers of a triggerer into its database.

    Airflow writes them one after the other, and does not report what it has written.
    """

    def __init__(self) -> None:
        self._written_at = 0.0

    @property
    def seconds(self) -> float:
        """The estimated time until all events are written."""
        return max(0.0, self._written_at - time.monotonic())

    def add(self) -> None:
        """Add one event."""
        self._written_at = max(self._written_at, time.monotonic()) + _SECONDS_PER_WRITE


backlog = Backlog()


class EventDelay:
    """Holds the last of several events until Airflow has processed the others."""

    def __init__(self) -> None:
        self._held: tuple[int, Media] | None = None
        self._processed_at = 0.0

    @property
    def held_position(self) -> int | None:
        """The position of the file whose event is held."""
        return self._held[0] if self._held else None

    def select(self, new: list[tuple[int, Media]], matches: Callable[[Media], bool]) -> list[tuple[int, Media]]:
        """Return the new files without the one whose event is held.

        That file is not marked as seen, and so is new in the next poll too.

        :param new: each new file with its position, oldest first.
        :param matches: returns whether a file gets an event.
        """
        if self._held and self._held[1].id not in {media.id for _, media in new}:
            new = [self._held, *new]  # it was deleted
        matching = [pair for pair in new if matches(pair[1])]
        must_wait = len(matching) > 1 or time.monotonic() < self._processed_at
        self._held = matching[-1] if matching and must_wait else None
        return [pair for pair in new if pair is not self._held]

    def record_event(self) -> None:
        """Record that an event was yielded."""
        backlog.add()
        self._processed_at = time.monotonic() + backlog.seconds + LAST_EVENT_DELAY_SECONDS

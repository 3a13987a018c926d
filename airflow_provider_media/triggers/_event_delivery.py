"""When Airflow has surely taken what was given to it: the pace of a watcher's events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_media.models import Media

APART_SECONDS = 20.0
"""How much later than the others the last event of several is given.

Up to 3.3.2 at least, Airflow starts a run with the events up to the one that asked for it, and those that came between
that and the run's creation wait for one event more (apache/airflow issue 54659). The last event must be that one: it
comes when the scheduler has surely seen the others.
"""

_WRITING_SECONDS_AN_EVENT = 0.1


class Backlog:
    """The events that Airflow has yet to write into its database, one after the other, of all watchers of a triggerer.

    It does not say what it has written, so this is reckoned.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._written_at = 0.0

    @property
    def seconds(self) -> float:
        """How long writing them takes."""
        return max(0.0, self._written_at - time.monotonic())

    def add(self) -> None:
        """Take note of one more."""
        self._written_at = max(self._written_at, time.monotonic()) + _WRITING_SECONDS_AN_EVENT


backlog = Backlog()


class EventDelay:
    """Keeps the last of several events back until Airflow has surely seen the others."""

    def __init__(self) -> None:
        """Keep nothing back yet."""
        self._kept_back: tuple[int, Media] | None = None
        self._surely_seen_at = 0.0

    @property
    def kept_back(self) -> int | None:
        """The place of the file whose event is kept back."""
        return self._kept_back[0] if self._kept_back else None

    def select(self, new: list[tuple[int, Media]], wants: Callable[[Media], bool]) -> list[tuple[int, Media]]:
        """Tell which of the new files are to be noted now: all but the last wanted one, if that must wait.

        What waits is not noted, and so still new at the next look.
        """
        if self._kept_back and self._kept_back[1].id not in {media.id for _, media in new}:
            new = [self._kept_back, *new]  # deleted meanwhile
        wanted = [pair for pair in new if wants(pair[1])]
        must_wait = len(wanted) > 1 or time.monotonic() < self._surely_seen_at
        self._kept_back = wanted[-1] if wanted and must_wait else None
        return [pair for pair in new if pair is not self._kept_back]

    def given(self) -> None:
        """Take note of an event."""
        backlog.add()
        self._surely_seen_at = time.monotonic() + backlog.seconds + APART_SECONDS

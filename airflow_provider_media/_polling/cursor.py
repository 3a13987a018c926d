"""The position of a watcher in the library, and how far back a poll reads for all watchers.

It handles restarts, late files and a change of the sort order.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, get_args

from airflow_provider_media._api.baseline import microseconds
from airflow_provider_media._polling.newest import NewestMedia, SortField, position_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_media.models import Media

LATE_SECONDS = 300.0
"""A file that appears in the list at most this much later than newer files is still new."""

CONFIRM_SECONDS = 30.0
"""An event counts as written this long after its estimated time; until then a restart yields it again."""

_MAX_REMEMBERED = 700
"""Maximum number of remembered files whose events are written.

Less than a page, so that the newest page reaches down to the floor. With ids of 36 characters this is 56 KiB; Airflow
warns about values above 64 KiB.
"""

FORMAT = 2
"""The format version of saved cursors. A cursor of another version is ignored."""

_BEFORE_ALL = -1
_LONG_AGO = 0.0

Seen = tuple[int, float, int | None]
"""A file's position, the estimated time its event is written (Unix seconds), and its creation date (microseconds)."""


@dataclass(slots=True)
class Cursor:
    """The files that a watcher has seen: all up to a position, and individual later ones.

    Individual files are remembered, so that a file that appears late is still new. The newest files are always among
    them, so that a file with a very large id or a date in the future does not hide later ones. In a small library all
    files are remembered, and no order is needed.

    :param floor: the position; files with a lower one are old.
    :param recent: the remembered files above it, by id.
    """

    sort_by: SortField = "id"
    floor: int = _BEFORE_ALL
    recent: dict[str, Seen] = field(default_factory=dict)
    _examined_to: int = field(default=_BEFORE_ALL, init=False)

    @classmethod
    def at_newest(cls, newest: NewestMedia, to_remember: int | None = None) -> Self:
        """Start after the newest file, so that existing files are not reported."""
        to_remember = to_remember or newest.to_remember
        older, recent = newest.media[:-to_remember], newest.media[-to_remember:]
        floor = older[-1][0] if older else _BEFORE_ALL
        if not older and newest.complete_from is not None:
            floor = newest.complete_from
        seen = {str(media.id): _seen(position, media, _LONG_AGO) for position, media in recent if position > floor}
        return cls(newest.sort_by, floor, seen)

    def unread_below(self, newest: NewestMedia) -> int | None:
        """Return the position down to which the list must be read; None if it already covers all new files."""
        if newest.sort_by == self.sort_by:
            return None if newest.reaches(max(self.floor, self._examined_to)) else self.floor
        return None if newest.reaches(_BEFORE_ALL) or self._seen_in(newest) else _BEFORE_ALL

    def rebase(self, newest: NewestMedia) -> Self | None:
        """Return a cursor for another sort field that has seen the same files.

        A file without a position in the old order is new if it comes after all seen files. Return None if that holds
        for all files, because then new files cannot be identified.
        """
        if self.floor == _BEFORE_ALL:  # all seen files are remembered by id
            recent = {
                str(media.id): _seen(position, media, self._written_at(media))
                for position, media in newest.media
                if str(media.id) in self.recent and not self._has_reused_id(media)
            }
            return type(self)(newest.sort_by, recent=recent)
        seen = self._seen_in(newest)
        newest_seen = max(seen.values(), default=_BEFORE_ALL)
        others = {str(media.id): (position, media) for position, media in newest.media if str(media.id) not in seen}
        placed = {
            key: position for key, (position, media) in others.items() if position_of(media, self.sort_by) is not None
        }
        if not (seen or placed):
            return None
        new = placed | {key: position for key, (position, _) in others.items() if position > newest_seen}
        remembered = [position for key, position in seen.items() if key in self.recent]
        floor = min([*new.values(), *remembered], default=newest_seen + 1) - 1
        recent = {
            str(media.id): _seen(position, media, self._written_at(media))
            for position, media in newest.media
            if position > floor and str(media.id) not in new
        }
        return type(self)(newest.sort_by, floor, recent)

    def new_in(self, newest: NewestMedia) -> list[tuple[int, Media]]:
        """Return the files that are not seen yet, each with its position, oldest first."""
        if len(newest.media) > newest.outliers:
            self._examined_to = max(self._examined_to, newest.media[-1 - newest.outliers][0])
        return [(position, media) for position, media in newest.media if self._is_new(position, media)]

    def mark_seen(self, position: int, media: Media, written_at: float) -> None:
        """Mark a file as seen.

        :param written_at: the estimated time at which Airflow has written its event (Unix seconds).
        """
        self.recent[str(media.id)] = _seen(position, media, written_at)

    def prune(self, now: float, *, to_remember: int, below: int | None = None) -> None:
        """Forget files that are too old for a late file to precede them, and raise the floor over them.

        :param to_remember: the number of newest files that stay remembered.
        :param below: the position of a file that is not marked yet; the floor stays below it.
        """
        for media_id, (position, written_at, _) in sorted(self.recent.items(), key=lambda entry: entry[1][0]):
            too_many = len(self.recent) > _MAX_REMEMBERED and written_at <= now - CONFIRM_SECONDS
            is_old = too_many or (len(self.recent) > to_remember and written_at <= now - LATE_SECONDS)
            in_future = self.sort_by == "createdAt" and position > (now - LATE_SECONDS) * 1_000_000
            if not is_old or in_future or (below is not None and position >= below):
                return
            self.floor = max(self.floor, position)
            del self.recent[media_id]

    def to_dict(self, now: float) -> dict[str, Any]:
        """Return the cursor as JSON-compatible values, without files whose events may not be written yet."""
        written = [(key, entry) for key, entry in self.recent.items() if entry[1] <= now - CONFIRM_SECONDS]
        recent = {key: [position, round(at), created] for key, (position, at, created) in written[:_MAX_REMEMBERED]}
        return {"format": FORMAT, "sort_by": self.sort_by, "floor": self.floor, "recent": recent}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output.

        :raises ValueError: the values have another format. Malformed values raise KeyError, TypeError or
            AttributeError too.
        """
        if values["format"] != FORMAT or values["sort_by"] not in get_args(SortField):
            raise ValueError("unsupported cursor format")
        recent = {
            key: (int(position), float(written_at), None if created is None else int(created))
            for key, (position, written_at, created) in values["recent"].items()
        }
        return cls(values["sort_by"], int(values["floor"]), recent)

    def _is_new(self, position: int, media: Media) -> bool:
        return position > self.floor and (str(media.id) not in self.recent or self._has_reused_id(media))

    def _written_at(self, media: Media) -> float:
        return self.recent[str(media.id)][1] if str(media.id) in self.recent else _LONG_AGO

    def _has_reused_id(self, media: Media) -> bool:
        """Return whether a remembered id was assigned to a newer file."""
        created, seen = microseconds(media.created_at), self.recent[str(media.id)][2]
        return created is not None and seen is not None and created > seen

    def _seen_in(self, newest: NewestMedia) -> dict[str, int]:
        """Return the positions of the listed files that were seen, by id; the list may have another sort field."""
        return {
            str(media.id): position
            for position, media in newest.media
            if (own_position := position_of(media, self.sort_by)) is not None and not self._is_new(own_position, media)
        }


def _seen(position: int, media: Media, written_at: float) -> Seen:
    return position, written_at, microseconds(media.created_at)


class ReadDepth:
    """How far back a poll reads the list: to where late files may appear, and once to what a watcher missed.

    :ivar down_to: the position down to which the next poll reads; None before the first poll.
    :ivar requested: set by :meth:`request`, and cleared by the poll.
    """

    def __init__(self) -> None:
        self.sort_by: SortField = "id"
        self.down_to: int | None = None
        self.requested = asyncio.Event()
        self._tops: list[tuple[float, int]] = []  # of recent polls, with their times
        self._is_deeper = False

    def request(self, floor: int, sort_by: SortField) -> None:
        """Request an early poll that reads down to a position; it serves all watchers that request one."""
        if self.down_to is not None and sort_by == self.sort_by and floor + 1 < self.down_to:
            self.down_to, self._is_deeper = floor + 1, True
            self.requested.set()

    def update(self, newest: NewestMedia) -> None:
        """Record the result of a poll."""
        now = time.time()
        top = Cursor.at_newest(newest, newest.outliers).floor
        if self.down_to is None or newest.sort_by != self.sort_by:
            self._tops, self._is_deeper = [], False
        elif self._is_deeper and newest.reaches(self.down_to - 1):
            # Read down to there for a while, because files may appear late.
            self._tops, self._is_deeper = [(now, self.down_to - 1)], False
        if newest.sort_by == "createdAt":
            top = min(top, round((now - LATE_SECONDS) * 1_000_000))  # dates may be in the future
        self._tops.append((now, top))
        while len(self._tops) > 1 and self._tops[1][0] <= now - LATE_SECONDS:
            del self._tops[0]
        self.sort_by = newest.sort_by
        if not self._is_deeper:
            self.down_to = self._tops[0][1] + 1

"""What a watcher has seen of the library: a cursor that survives restarts, late files and another order of arrival."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, get_args

from airflow_provider_media._api.baseline import microseconds
from airflow_provider_media._polling.newest import NewestMedia, SortField, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_media.models import Media

LATE_SECONDS = 300.0
"""A file may show up in the list so much later than newer ones, and still counts as new."""

UNSURE_SECONDS = 30.0
"""An event that Airflow was to write at a moment is safe so much later; until then a restart gives it again."""

_MAX_REMEMBERED = 700
"""Once they are safe; fewer than a page has, so that the newest page reaches down to the floor again. With ids of 36
letters that is 56 KiB; Airflow warns of values above 64."""

FORMAT = 2
"""Of the values. A value of another format is ignored, never misread."""

_BEFORE_ALL = -1
_LONG_AGO = 0.0

Seen = tuple[int, float, int | None]
"""A file's place, when its event was to be written (seconds since 1970), and its creation date (microseconds)."""


@dataclass(slots=True)
class Cursor:
    """What was seen: all up to a place, and of the later ones those remembered.

    A file that shows up late, when newer ones were seen already, is told by that. The newest files are always among
    those remembered, so that one with a giant id, or a date in the future, does not hide those that follow. In a small
    library all are, and then no order is needed.

    :param sort_by: what the places are made of.
    :param floor: the place; what has a lower one is old.
    :param recent: files above it, by id.
    """

    sort_by: SortField = "id"
    floor: int = _BEFORE_ALL
    recent: dict[str, Seen] = field(default_factory=dict)
    _examined_to: int = field(default=_BEFORE_ALL, init=False)

    @classmethod
    def at_newest(cls, arrivals: NewestMedia) -> Self:
        """Begin behind the newest file: all that is there now is old."""
        older, newest = arrivals.media[: -arrivals.to_remember], arrivals.media[-arrivals.to_remember :]
        floor = older[-1][0] if older else _BEFORE_ALL
        if not older and arrivals.complete_from is not None:
            floor = arrivals.complete_from
        seen = {str(media.id): _seen(place, media, _LONG_AGO) for place, media in newest if place > floor}
        return cls(arrivals.sort_by, floor, seen)

    def unread_below(self, arrivals: NewestMedia) -> int | None:
        """Tell down to which place more must be listed before it is clear what is new; None when it is."""
        if arrivals.sort_by == self.sort_by:
            return None if arrivals.reaches(max(self.floor, self._examined_to)) else self.floor
        return None if arrivals.reaches(_BEFORE_ALL) or self._seen_in(arrivals) else _BEFORE_ALL

    def rebase(self, arrivals: NewestMedia) -> Self | None:
        """Go over to another order of arrival; what was seen by the old one stays seen.

        A file that has no place in the old order is new if it comes after all that were seen. When that is so of all
        that are listed, nothing tells what is new: None.
        """
        if self.floor == _BEFORE_ALL:  # all that were seen are remembered by their ids
            known = {
                str(media.id): _seen(place, media, self._written_at(media))
                for place, media in arrivals.media
                if str(media.id) in self.recent and not self._is_another(media)
            }
            return type(self)(arrivals.sort_by, recent=known)
        seen = self._seen_in(arrivals)
        newest_seen = max(seen.values(), default=_BEFORE_ALL)
        others = {str(media.id): (place, media) for place, media in arrivals.media if str(media.id) not in seen}
        placed = {key: place for key, (place, media) in others.items() if place_of(media, self.sort_by) is not None}
        if not (seen or placed):
            return None
        new = placed | {key: place for key, (place, _) in others.items() if place > newest_seen}
        unsettled = [place for key, place in seen.items() if key in self.recent]
        floor = min([*new.values(), *unsettled], default=newest_seen + 1) - 1
        recent = {
            str(media.id): _seen(
                place, media, self.recent[str(media.id)][1] if str(media.id) in self.recent else _LONG_AGO
            )
            for place, media in arrivals.media
            if place > floor and str(media.id) not in new
        }
        return type(self)(arrivals.sort_by, floor, recent)

    def new_in(self, arrivals: NewestMedia) -> list[tuple[int, Media]]:
        """Pick what was not seen yet, each with its place, oldest first."""
        if len(arrivals.media) > arrivals.outliers:
            self._examined_to = max(self._examined_to, arrivals.media[-1 - arrivals.outliers][0])
        return [(place, media) for place, media in arrivals.media if self._is_new(place, media)]

    def note(self, place: int, media: Media, written_at: float) -> None:
        """Take a file for seen.

        :param written_at: when Airflow will have written its event (seconds since 1970).
        """
        self.recent[str(media.id)] = _seen(place, media, written_at)

    def settle(self, now: float, *, to_remember: int, below: int | None = None) -> None:
        """Forget what is so old that nothing comes before it any more; the floor rises over it.

        :param to_remember: how many of the newest stay remembered.
        :param below: the place of a file that is not noted yet; the floor stays below it.
        """
        for media_id, (place, written_at, _) in sorted(self.recent.items(), key=lambda entry: entry[1][0]):
            too_many = len(self.recent) > _MAX_REMEMBERED and written_at <= now - UNSURE_SECONDS
            is_settled = too_many or (len(self.recent) > to_remember and written_at <= now - LATE_SECONDS)
            in_future = self.sort_by == "createdAt" and place > (now - LATE_SECONDS) * 1_000_000
            if not is_settled or in_future or (below is not None and place >= below):
                return
            self.floor = max(self.floor, place)
            del self.recent[media_id]

    def to_dict(self, now: float) -> dict[str, Any]:
        """Return, as JSON-able values, what surely needs no second event; of very much, as much as a store takes."""
        safe = [(key, entry) for key, entry in self.recent.items() if entry[1] <= now - UNSURE_SECONDS]
        kept = {key: [place, round(written), created] for key, (place, written, created) in safe[:_MAX_REMEMBERED]}
        return {"format": FORMAT, "sort_by": self.sort_by, "floor": self.floor, "recent": kept}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make it again of what :meth:`to_dict` returned.

        :raises ValueError: (or what reading other values as these raises) the values have another format or shape.
        """
        if values["format"] != FORMAT or values["sort_by"] not in get_args(SortField):
            raise ValueError("a cursor of another format")
        recent = {
            key: (int(place), float(written_at), None if created is None else int(created))
            for key, (place, written_at, created) in values["recent"].items()
        }
        return cls(values["sort_by"], int(values["floor"]), recent)

    def _is_new(self, place: int, media: Media) -> bool:
        return place > self.floor and (str(media.id) not in self.recent or self._is_another(media))

    def _written_at(self, media: Media) -> float:
        return self.recent[str(media.id)][1] if str(media.id) in self.recent else _LONG_AGO

    def _is_another(self, media: Media) -> bool:
        """Return whether an id that is remembered was given to another file since."""
        created, seen = microseconds(media.created_at), self.recent[str(media.id)][2]
        return created is not None and seen is not None and created > seen

    def _seen_in(self, arrivals: NewestMedia) -> dict[str, int]:
        """Tell which of the listed files were seen, in whatever order they are listed: their places there, by id."""
        return {
            str(media.id): place
            for place, media in arrivals.media
            if (old_place := place_of(media, self.sort_by)) is not None and not self._is_new(old_place, media)
        }


def _seen(place: int, media: Media, written_at: float) -> Seen:
    return place, written_at, microseconds(media.created_at)

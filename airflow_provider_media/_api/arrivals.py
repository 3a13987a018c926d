"""Which files of the library are new: the newest pages of the list, and a cursor that remembers what was seen.

A file's place in the order of arrival is its id, where ids are numbers (they grow), else its creation date. Ids that
are texts have no order of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from airflow_provider_media._api.flows import Flow, PageWalk
from airflow_provider_media._api.problem import Kind, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_media.models import Media

LATE_SECONDS = 300.0
"""A file may show up in the list so much later than newer ones, and still counts as new."""

UNSURE_SECONDS = 30.0
"""An event that was given away may take so long to be safe; until then a restart gives it again."""

_MOST_REMEMBERED = 1000
_BEFORE_ALL = -1

SortField = Literal["id", "createdAt"]


def place_of(media: Media, sort_by: SortField) -> int | None:
    """Tell a file's place in the order of arrival: a number that grows; None where nothing tells it."""
    if sort_by == "id":
        return media.id if isinstance(media.id, int) else None
    if media.created_at is None:
        return None
    return round((media.created_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """The newest files of the library.

    :param media: each with its place, oldest first.
    :param sort_by: what the places are made of.
    :param complete_from: the place from which on all files are here; None when the whole library is.
    """

    media: tuple[tuple[int, Media], ...]
    sort_by: SortField
    complete_from: int | None


def list_newest(*, sort_by: SortField = "id", down_to: int | None = None) -> Flow[Arrivals]:
    """List the newest files: one page, or as many as it takes to get below a place.

    The whole list is read when the server does not sort as asked.

    :param sort_by: what to order by; creation dates are taken instead of ids that are no numbers.
    :param down_to: the place.
    :raises Problem: of kind RESPONSE when neither ids nor dates tell the order.
    """
    walk = PageWalk(sort_by=sort_by, sort_order="desc")
    placed: list[tuple[int, Media]] = []
    is_sorted = True
    while walk.next_call:
        for media in walk.feed((yield walk.next_call)):
            place = place_of(media, sort_by)
            if place is None and sort_by == "id":
                return (yield from list_newest(sort_by="createdAt", down_to=down_to))
            if place is None:
                raise Problem(
                    Kind.RESPONSE,
                    "New files cannot be told from old ones: the library's ids are no numbers, and its list has no"
                    f" creation date (of the media {media.id}).",
                )
            is_sorted = is_sorted and (not placed or place <= placed[-1][0])
            placed.append((place, media))
        if is_sorted and placed and (down_to is None or placed[-1][0] < down_to):
            break
    complete_from = placed[-1][0] if walk.next_call else None
    return Arrivals(media=tuple(sorted(placed, key=lambda pair: pair[0])), sort_by=sort_by, complete_from=complete_from)


@dataclass(slots=True)
class Cursor:
    """What was seen: all up to a place, and of the later ones those remembered.

    A file that shows up late, when newer ones were seen already, is told by that.

    :param floor: the place.
    :param recent: of files above it, by id: place, and when it was first seen (seconds since 1970).
    """

    floor: int = _BEFORE_ALL
    recent: dict[str, tuple[int, float]] = field(default_factory=dict)

    @classmethod
    def at_newest(cls, arrivals: Arrivals) -> Self:
        """Begin behind the newest file: all that is there now is old."""
        if not arrivals.media:
            return cls()
        newest = arrivals.media[-1][0]
        # Several may share its date, so it is remembered by its id.
        return cls(newest - 1, {str(media.id): (place, 0.0) for place, media in arrivals.media if place == newest})

    def misses(self, arrivals: Arrivals) -> bool:
        """Whether there may be new files between the cursor and what was listed."""
        return arrivals.complete_from is not None and arrivals.complete_from > self.floor

    def is_new(self, place: int, media: Media) -> bool:
        """Whether a file was not seen yet."""
        return place > self.floor and str(media.id) not in self.recent

    def note(self, place: int, media: Media, now: float) -> None:
        """Take a file for seen."""
        self.recent[str(media.id)] = (place, now)

    def settle(self, now: float) -> None:
        """Forget what is so old that nothing comes before it any more; the floor rises over it."""
        in_order = sorted(self.recent.items(), key=lambda entry: entry[1][0])
        for media_id, (place, seen) in in_order:
            too_many = len(self.recent) > _MOST_REMEMBERED and seen <= now - UNSURE_SECONDS
            if seen > now - LATE_SECONDS and not too_many:
                return
            self.floor = max(self.floor, place)
            del self.recent[media_id]

    def to_dict(self, now: float) -> dict[str, Any]:
        """Return, as JSON-able values, what surely needs no second event."""
        safe = {key: [place, seen] for key, (place, seen) in self.recent.items() if seen <= now - UNSURE_SECONDS}
        return {"floor": self.floor, "recent": safe}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make it again of what :meth:`to_dict` returned."""
        return cls(values["floor"], {key: (place, seen) for key, (place, seen) in values["recent"].items()})

"""List the newest files of the library, by the order in which they were added.

A file's position in that order is its id if ids grow, otherwise its creation date. Of a small library all files are
remembered, and no order is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from heapq import nlargest
from typing import TYPE_CHECKING, Literal

from airflow_provider_media._api.baseline import MIN_DATES, NEWEST_FILES, greatest_growing_id
from airflow_provider_media._api.flows import Flow, Paginator
from airflow_provider_media._api.protocol import build_list, parse_page
from airflow_provider_media.exceptions import MediaRequestError, MediaResponseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_media.models import Media

_MAX_LISTINGS = 3

MIN_REMEMBERED = 500
"""Number of newest files that are remembered by id.

So a file with a very large id or a date in the future does not hide later ones, and a library of at most this many
files needs no order.
"""

_MAX_OUTLIERS = 10
"""Number of newest files whose id or date may be out of order."""

SortField = Literal["id", "createdAt", "none"]


def position_of(media: Media, sort_by: SortField) -> int | None:
    """Return a file's position in the order of arrival, a growing number; None if it has none."""
    if sort_by == "id":
        return media.id if isinstance(media.id, int) else None
    return 0 if sort_by == "none" else _date_of(media)


def _date_of(media: Media) -> int | None:
    if media.created_at is None:
        return None
    return round((media.created_at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestMedia:
    """The newest files of the library.

    :param complete_from: the position from which on all files are included; None for the whole library.
    """

    media: tuple[tuple[int, Media], ...]
    sort_by: SortField
    complete_from: int | None
    page_length: int = 2 * MIN_REMEMBERED
    total: int | None = None

    @property
    def is_small(self) -> bool:
        """Whether these are all files of the library, and few enough to be remembered."""
        return self.complete_from is None and len(self.media) <= MIN_REMEMBERED

    def sorted_by_available_field(self) -> NewestMedia:
        """Return the same files sorted by date; if one has no date, by id; otherwise all with one position."""
        listed = [media for _, media in self.media]
        fields: tuple[SortField, ...] = ("createdAt", "id", "none")
        field = next(field for field in fields if all(position_of(media, field) is not None for media in listed))
        placed = sorted(((position_of(media, field) or 0, media) for media in listed), key=lambda pair: pair[0])
        return replace(self, sort_by=field, media=tuple(placed))

    @property
    def to_remember(self) -> int:
        """The number of newest files to remember by id; half a page leaves space for new ones."""
        return MIN_REMEMBERED if self.complete_from is None else min(MIN_REMEMBERED, self.page_length // 2)

    @property
    def outliers(self) -> int:
        """The number of newest files that may be out of order."""
        return min(_MAX_OUTLIERS, self.page_length // 2)

    def reaches(self, floor: int) -> bool:
        """Return whether all files above a position are included."""
        return self.complete_from is None or self.complete_from <= floor


def list_newest(*, sort_by: SortField = "id", down_to: int | None = None) -> Flow[NewestMedia]:
    """List the newest files: one page, or as many as needed to get below a position.

    Read the whole list if the server ignores the sort order. Read it again if files were deleted during the reading,
    because others may have been missed.

    :param sort_by: the sort field; creation dates are used instead if ids do not grow.
    :param down_to: the position, by ``sort_by``; with another sort field one page is read. With None, for the first
        poll, also compare the newest files by date, because ids of several counters only seem to grow.
    :raises MediaResponseError: there are more files than can be remembered, and neither ids nor dates order them.
    """
    if sort_by == "createdAt":
        try:
            return (yield from _list_by(sort_by, down_to))
        except MediaResponseError:
            down_to = None  # a file without a date; the library may be small, or its ids may grow
    newest = yield from _list_by("id", down_to)
    listed = [media for _, media in newest.media]
    unordered = next((media for media in listed if not isinstance(media.id, int)), None)
    grows = unordered is None and _ids_grow(listed, newest.total)
    if newest.is_small:
        return newest if grows else newest.sorted_by_available_field()
    if grows and down_to is None and newest.complete_from is not None:
        grows = not (yield from _dates_contradict_ids(listed))
    if not grows and all(media.created_at is not None for media in listed):
        return (yield from _list_by("createdAt", None))
    if unordered is not None:
        raise _no_order(unordered)
    return newest


def _list_by(sort_by: SortField, down_to: int | None) -> Flow[NewestMedia]:
    """Read pages until below a position, and until the order is known or all files are remembered."""
    for _ in range(_MAX_LISTINGS):
        paginator = Paginator(sort_by=sort_by, sort_order="desc")
        listed: list[Media] = []
        positions: list[int] = []
        page_length = 0
        while paginator.next_request:
            page = paginator.feed((yield paginator.next_request))
            page_length = page_length or len(page)
            listed += page
            positions += [position for media in page if (position := position_of(media, sort_by)) is not None]
            if sort_by == "createdAt" and len(positions) < len(listed):
                raise _no_order(next(media for media in page if media.created_at is None))
            if len(positions) < len(listed):
                ends = len(listed) > MIN_REMEMBERED
            else:
                is_below = bool(positions) and (down_to is None or positions[-1] < down_to)
                ends = is_below and positions == sorted(positions, reverse=True)
                ends = ends and (
                    len(listed) > MIN_REMEMBERED or sort_by == "createdAt" or _ids_grow(listed, paginator.total)
                )
            if ends:
                break
        if not paginator.shrank:
            break
    placed = sorted(((position_of(media, sort_by) or 0, media) for media in listed), key=lambda pair: pair[0])
    return NewestMedia(
        media=tuple(placed),
        sort_by=sort_by,
        complete_from=placed[0][0] if paginator.next_request else None,
        page_length=page_length,
        total=paginator.total,
    )


def _ids_grow(listed: list[Media], total: int | None) -> bool:
    return greatest_growing_id(listed, total) is not None


def _dates_contradict_ids(listed: list[Media]) -> Flow[bool]:
    """Return whether the files with the latest dates have other ids than the greatest ones."""
    call = build_list(limit=min(NEWEST_FILES, len(listed)), sort_by="createdAt", sort_order="desc")
    try:
        latest = parse_page(call, (yield call)).items
    except MediaRequestError as error:
        if type(error) is not MediaRequestError:
            raise
        return False  # a server that does not sort by dates
    dates = [_date_of(media) or 0 for media in latest]
    return dates == sorted(dates, reverse=True) and not _dates_agree(latest, listed)


def _dates_agree(latest: Iterable[Media], newest: Sequence[Media]) -> bool:
    """Return whether the files with the latest dates have the greatest ids; ids of several counters differ."""
    known = {media.id for media in newest}
    greatest = max((id_ for id_ in known if isinstance(id_, int)), default=0)
    # Files may have been added between two requests.
    return len({_date_of(media) for media in latest}) < MIN_DATES or all(
        media.id in known or (isinstance(media.id, int) and media.id > greatest) for media in latest
    )


def _no_order(media: Media) -> MediaResponseError:
    return MediaResponseError(
        f"Could not identify new files: the library's ids do not grow, and media {media.id} has no creation date. A"
        f" library of more than {MIN_REMEMBERED} files requires one of them."
    )


Horizon = tuple[SortField, int]
"""The sort field and the position up to which the library was searched: that of one of the newest files.

The few files above it may be out of order.
"""


class Reading:
    """Follows a reading of the list, newest files first, to decide where it may end.

    :param horizon: the result of an earlier reading; None for the whole list, by id.
    """

    def __init__(self, horizon: Horizon | None = None) -> None:
        self.sort_by, self._top = horizon or ("id", -1)
        self._newest: list[Media] = []  # the first ones of the list
        self._latest: list[Media] = []  # those with the latest dates
        self._last: list[int] = []  # the last position
        self._is_sorted = True
        self._has_dates = True
        self._overlap = 0

    def add(self, page: Sequence[Media]) -> None:
        """Add a page of the list."""
        positions = [position for media in page if (position := position_of(media, self.sort_by)) is not None]
        chain = [*self._last, *positions]
        self._is_sorted = self._is_sorted and len(positions) == len(page) and chain == sorted(chain, reverse=True)
        self._last = chain[-1:]
        self._overlap += sum(position <= self._top for position in positions)
        if len(self._newest) < 2 * MIN_REMEMBERED:
            self._newest += page
        self._has_dates = self._has_dates and all(media.created_at for media in page)
        self._latest = nlargest(NEWEST_FILES, [*self._latest, *page], key=lambda media: _date_of(media) or 0)

    def reaches_horizon(self, total: int | None) -> bool:
        """Return whether older files were searched before: the order holds, and enough of them are listed again."""
        return self._overlap >= MIN_REMEMBERED and self._is_ordered(total)

    def horizon(self, total: int | None, *, is_complete: bool) -> Horizon | None:
        """Return the horizon after the reading; None if neither ids nor dates order the files."""
        newest, field = self._newest, self.sort_by
        if is_complete and field == "id" and not (self._is_ordered(total) and _dates_agree(self._latest, self._newest)):
            if not self._has_dates:
                return None
            newest, field = self._latest, "createdAt"
        elif not self._is_ordered(total):
            return None
        top = position_of(newest[min(_MAX_OUTLIERS, len(newest) - 1)], field) if newest else None
        return None if top is None else (field, top)

    def _is_ordered(self, total: int | None) -> bool:
        return self._is_sorted and (self.sort_by == "createdAt" or _ids_grow(self._newest, total))

"""The newest files of the library, in the order in which they arrived.

A file's place in that order is its id, where ids grow, else its creation date. Of a small library every file is
remembered, so that it needs no order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from airflow_provider_media._api.baseline import MIN_DATES, NEWEST_FILES, greatest_growing_id
from airflow_provider_media._api.flows import Flow, Paginator
from airflow_provider_media._api.protocol import build_list, parse_page
from airflow_provider_media.exceptions import MediaError, MediaRequestError, MediaResponseError

if TYPE_CHECKING:
    from airflow_provider_media.models import Media

_MAX_LISTINGS = 3

MIN_REMEMBERED = 500
"""So many of the newest files are remembered by their ids. One with a giant id or a date in the future among them does
not hide those that follow; and a library of so few files needs no order."""

_MAX_OUTLIERS = 10
"""So many of the newest files may have an id, or a date, that says nothing of those that follow."""

SortField = Literal["id", "createdAt", "none"]


def place_of(media: Media, sort_by: SortField) -> int | None:
    """Tell a file's place in the order of arrival: a number that grows; None where nothing tells it."""
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

    :param media: each with its place, oldest first.
    :param sort_by: what the places are made of.
    :param complete_from: the place from which on all files are here; None when the whole library is.
    :param page_length: how many files the first page had.
    :param total: how many files the library holds, where the list tells.
    """

    media: tuple[tuple[int, Media], ...]
    sort_by: SortField
    complete_from: int | None
    page_length: int = 2 * MIN_REMEMBERED
    total: int | None = None

    @property
    def is_small(self) -> bool:
        """Whether all files of the library are here, and few enough to be remembered."""
        return self.complete_from is None and len(self.media) <= MIN_REMEMBERED

    def in_another_order(self) -> NewestMedia:
        """Return the same files by their dates; where one has none, by ids, or with one place for all."""
        listed = [media for _, media in self.media]
        orders: tuple[SortField, ...] = ("createdAt", "id", "none")
        order = next(order for order in orders if all(place_of(media, order) is not None for media in listed))
        placed = sorted(((place_of(media, order) or 0, media) for media in listed), key=lambda pair: pair[0])
        return replace(self, sort_by=order, media=tuple(placed))

    @property
    def to_remember(self) -> int:
        """How many of the newest files are remembered by their ids: half a page leaves room for new ones."""
        return MIN_REMEMBERED if self.complete_from is None else min(MIN_REMEMBERED, self.page_length // 2)

    @property
    def outliers(self) -> int:
        """How many of the newest files do not show how far the list was read."""
        return min(_MAX_OUTLIERS, self.page_length // 2)

    def reaches(self, floor: int) -> bool:
        """Whether all files above a place are here."""
        return self.complete_from is None or self.complete_from <= floor


def list_newest(*, sort_by: SortField = "id", down_to: int | None = None) -> Flow[NewestMedia]:
    """List the newest files: one page, or as many as it takes to get below a place.

    The whole list is read when the server does not sort as asked. When files are deleted while several pages are read,
    others can be missed; where the totals tell, they are read again.

    :param sort_by: what to order by; creation dates are taken instead where ids do not grow.
    :param down_to: the place, in the order of ``sort_by``; in the other one there is none, so one page is read. None at
        the first look, which also compares the newest files by date, because ids of several counters only seem to grow.
    :raises MediaResponseError: when neither ids nor dates tell the order of more files than can be remembered.
    """
    if sort_by == "createdAt":
        try:
            return (yield from _list_by(sort_by, down_to))
        except MediaError as problem:
            if not isinstance(problem, MediaResponseError):
                raise
            down_to = None  # a file without a date: look whether the library is small, or its ids grow
    arrivals = yield from _list_by("id", down_to)
    listed = [media for _, media in arrivals.media]
    unordered = next((media for media in listed if not isinstance(media.id, int)), None)
    grows = unordered is None and _ids_grow(listed, arrivals.total)
    if arrivals.is_small:
        return arrivals if grows else arrivals.in_another_order()
    if grows and down_to is None and arrivals.complete_from is not None:
        grows = not (yield from _is_refuted_by_dates(listed))
    if not grows and all(media.created_at is not None for media in listed):
        return (yield from _list_by("createdAt", None))
    if unordered is not None:
        raise _no_order(unordered)
    return arrivals


def _list_by(sort_by: SortField, down_to: int | None) -> Flow[NewestMedia]:
    """Read pages until a place, and as many as it takes to see the order or to remember all files."""
    for _ in range(_MAX_LISTINGS):
        walk = Paginator(sort_by=sort_by, sort_order="desc")
        listed: list[Media] = []
        places: list[int] = []
        page_length = 0
        while walk.next_request:
            page = walk.feed((yield walk.next_request))
            page_length = page_length or len(page)
            listed += page
            places += [place for media in page if (place := place_of(media, sort_by)) is not None]
            if sort_by == "createdAt" and len(places) < len(listed):
                raise _no_order(next(media for media in page if media.created_at is None))
            if len(places) < len(listed):
                ends = len(listed) > MIN_REMEMBERED
            elif places == sorted(places, reverse=True):
                is_below = bool(places) and (down_to is None or places[-1] < down_to)
                ends = is_below and (len(listed) > MIN_REMEMBERED or _is_ordered(sort_by, listed, walk.total))
            else:
                ends = False
            if ends:
                break
        if not walk.shrank:
            break
    placed = sorted(((place_of(media, sort_by) or 0, media) for media in listed), key=lambda pair: pair[0])
    return NewestMedia(
        media=tuple(placed),
        sort_by=sort_by,
        complete_from=placed[0][0] if walk.next_request else None,
        page_length=page_length,
        total=walk.total,
    )


def _is_ordered(sort_by: SortField, listed: list[Media], total: int | None) -> bool:
    return sort_by == "createdAt" or _ids_grow(listed, total)


def _ids_grow(listed: list[Media], total: int | None) -> bool:
    return greatest_growing_id(listed, total) is not None


def _is_refuted_by_dates(listed: list[Media]) -> Flow[bool]:
    """Return whether the files with the latest dates are not those with the greatest ids."""
    call = build_list(limit=min(NEWEST_FILES, len(listed)), sort_by="createdAt", sort_order="desc")
    try:
        latest = parse_page(call, (yield call)).items
    except MediaError as problem:
        if type(problem) is not MediaRequestError:
            raise
        return False  # a server that does not sort by dates
    dates = [_date_of(media) or 0 for media in latest]
    if len(set(dates)) < MIN_DATES or dates != sorted(dates, reverse=True):
        return False
    known, greatest = {str(media.id) for media in listed}, listed[-1].id
    # Some may have come between the two requests.
    return any(str(media.id) not in known and not _is_above(media.id, greatest) for media in latest)


def _is_above(media_id: int | str, greatest: int | str) -> bool:
    return isinstance(media_id, int) and isinstance(greatest, int) and media_id > greatest


def _no_order(media: Media) -> MediaError:
    return MediaResponseError(
        "New files cannot be told from old ones: the library's ids do not grow, and its list has no creation date (of"
        f" the media {media.id}). A library of at most {MIN_REMEMBERED} files needs neither.",
    )

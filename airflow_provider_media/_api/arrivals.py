"""The newest files of the library, in the order in which they arrived.

A file's place in that order is its id, where ids are numbers (they grow), else its creation date. Ids that are texts
have no order of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from airflow_provider_media._api.flows import Flow, PageWalk
from airflow_provider_media._api.problem import Kind, Problem

if TYPE_CHECKING:
    from airflow_provider_media.models import Media

_MOST_WALKS = 3

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

    def reaches(self, floor: int) -> bool:
        """Whether all files above a place are here."""
        return self.complete_from is None or self.complete_from <= floor


def list_newest(*, sort_by: SortField = "id", down_to: int | None = None) -> Flow[Arrivals]:
    """List the newest files: one page, or as many as it takes to get below a place.

    The whole list is read when the server does not sort as asked. When files are deleted while several pages are read,
    others can be missed; where the totals tell, they are read again.

    :param sort_by: what to order by; creation dates are taken instead of ids that are no numbers.
    :param down_to: the place, in the order of ``sort_by``; in the other one there is none, so one page is read.
    :raises Problem: of kind RESPONSE when neither ids nor dates tell the order.
    """
    for _ in range(_MOST_WALKS):
        walk = PageWalk(sort_by=sort_by, sort_order="desc")
        arrivals = yield from _read_down(walk, sort_by, down_to)
        if arrivals is None or not walk.shrank:
            break
    return arrivals or (yield from list_newest(sort_by="createdAt"))


def _read_down(walk: PageWalk, sort_by: SortField, down_to: int | None) -> Flow[Arrivals | None]:
    """Read pages until a place; give None when they have ids that are no numbers."""
    placed: list[tuple[int, Media]] = []
    is_sorted = True
    while walk.next_call:
        for media in walk.feed((yield walk.next_call)):
            place = place_of(media, sort_by)
            if place is None and sort_by == "id":
                return None
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

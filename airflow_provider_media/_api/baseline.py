"""What the library held at a moment, and which files are newer.

Ids need not grow: they may be random, sharded, count down, or hold one that was imported and is greater than all that
follow. So an id is compared with the greatest one only where the list shows that ids grow, and otherwise with the ids
that were there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from heapq import nlargest
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.flows import Flow, id_number, list_all
from airflow_provider_media._api.protocol import build_list, parse_page
from airflow_provider_media._api.timestamps import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_media._api.protocol import ApiResponse
    from airflow_provider_media.models import Media

NEWEST_FILES = 100
"""How many of the newest files show whether ids grow."""

MIN_DATES = 10
"""Different creation dates; that so many are in the order of random ids by chance has odds of 1 to 10!."""

_CLOCK_DIFFERENCE = timedelta(minutes=5) // timedelta(microseconds=1)
"""Max, between the clock of the responses' ``Date`` and that of the creation dates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the library held at a moment: enough to judge later whether a file is newer.

    :param known: files that were there, by id, each with its creation date in microseconds since 1970, or None.
    :param is_complete: whether each file that is judged later, and was there, is among them.
    :param newest_id: the greatest id, where ids grow.
    :param newest_at: the latest creation date of the files that show it, in microseconds since 1970.
    :param taken_at: the server's time, in microseconds since 1970.
    """

    known: Mapping[str, int | None] = field(default_factory=dict)
    is_complete: bool = True
    newest_id: int | None = None
    newest_at: int | None = None
    taken_at: int | None = None

    def is_newer(self, media: Media) -> bool | None:
        """Return whether a file was stored after the baseline was taken; None when it cannot be known.

        :param media: as the list has it, because dates of the list are compared.
        """
        created = microseconds(media.created_at)
        if str(media.id) in self.known:
            before = self.known[str(media.id)]
            return created is not None and before is not None and created > before  # the id was used a second time
        if self.is_complete:
            return True
        if self.is_exceeded_by(media):
            return True
        return self._is_newer_by_date(created, otherwise=None if id_number(media.id) is None else False)

    def is_exceeded_by(self, media: Media) -> bool:
        """Return whether the id of a file is greater than the greatest one that was there."""
        number = id_number(media.id)
        return number is not None and self.newest_id is not None and number > self.newest_id

    def _is_newer_by_date(self, created: int | None, *, otherwise: bool | None) -> bool | None:
        """Judge a file whose id says that it is older, or says nothing."""
        if created is None or self.newest_at is None:
            return otherwise
        if created <= self.newest_at:
            return False
        if self.taken_at is None or created > microseconds(datetime.now(UTC)) + _CLOCK_DIFFERENCE:
            return None
        if created > self.taken_at:
            return True
        return False if created < self.taken_at - _CLOCK_DIFFERENCE else None

    def newer_in(self, library: Sequence[Media]) -> tuple[list[Media], list[Media]]:
        """Pick, out of the whole list, the files that are newer, and those of which it cannot be known."""
        judged = [(media, self.is_newer(media)) for media in library]
        if not self.is_complete and greatest_growing_id(library, len(library), shown_by=len(library)):
            # The whole list confirms that ids grow, so no date is needed, which may lie in the future.
            judged = [(media, newer if self.is_exceeded_by(media) else False) for media, newer in judged]
        return [media for media, newer in judged if newer], [media for media, newer in judged if newer is None]

    def including(self, ids: Iterable[int | str]) -> Baseline:
        """Return a baseline that also knows these files, because the list may have lacked them."""
        return replace(self, known={**{str(media_id): None for media_id in ids}, **self.known})

    def reduced(self, *, max_known: int) -> Baseline | None:
        """Return a baseline that fits a store: without the known ids where ids grow; None when there are too many.

        :param max_known: how many known ids fit.
        """
        if len(self.known) <= max_known:
            return self
        return None if self.newest_id is None else replace(self, known={}, is_complete=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "known": dict(self.known),
            "is_complete": self.is_complete,
            "newest_id": self.newest_id,
            "newest_at": self.newest_at,
            "taken_at": self.taken_at,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Baseline:
        """Make it again of what :meth:`to_dict` returned.

        :raises ValueError: the values have another shape.
        """
        known, is_complete = values["known"], values["is_complete"]
        numbers = {name: values[name] for name in ("newest_id", "newest_at", "taken_at")}
        if not isinstance(known, dict) or not isinstance(is_complete, bool):
            raise ValueError("known must be a dict, and is_complete a bool")  # noqa: TRY004 - one error for all shapes
        if any(type(number) not in (int, type(None)) for number in (*known.values(), *numbers.values())):
            raise ValueError("ids and dates must be integers or None")
        return cls(known=known, is_complete=is_complete, **numbers)


def microseconds(moment: datetime | None) -> Any:
    """Return a moment in microseconds since 1970; None where the time of day is unknown."""
    if moment is None or moment.tzinfo is NO_TIME:
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def greatest_growing_id(listed: Iterable[Media], total: int | None, *, shown_by: int = NEWEST_FILES) -> int | None:
    """Return the greatest id, where the greatest ids and their dates show that ids grow.

    :param listed: the files with the greatest ids, or all files.
    :param total: how many files the library holds.
    :param shown_by: of how many files the ids and dates are compared.
    """
    newest = nlargest(shown_by, listed, key=lambda media: media.id if isinstance(media.id, int) else 0)
    ids = [media.id for media in newest if isinstance(media.id, int)]
    if not ids or len(ids) < len(newest) or any(id_ > 2 * older for id_, older in pairwise(ids)):
        return None  # also an imported id: what follows it is smaller
    dates = [microseconds(media.created_at) for media in newest]
    if None not in dates and len(set(dates)) >= MIN_DATES and dates == sorted(dates, reverse=True):
        return ids[0]
    # A counter that began at 1; parallel uploads may have dates that cross, or all files have one date, or none.
    is_dense = total is not None and ids[0] <= 2 * total
    return ids[0] if is_dense and (None in dates or dates[0] >= dates[-1]) else None


def fetch_baseline(name: str) -> Flow[Baseline]:
    """Read the newest files: one request at any size of the library, where ids grow.

    It also meets a rejected key before a large body. Where ids do not grow, or nothing shows that they do, the whole
    list is read for the ids that bear the name.
    """
    call = build_list(limit=NEWEST_FILES, sort_by="id", sort_order="desc")
    reply = yield call
    page = parse_page(call, reply)
    ids = [media.id for media in page.items]
    if not ids and not page.total:
        return Baseline()
    same_name = [media for media in page.items if media.name == name]
    is_sorted = all(isinstance(id_, int) for id_ in ids) and ids == sorted(ids, key=int, reverse=True)
    newest_id = greatest_growing_id(page.items, page.total) if is_sorted else None
    if newest_id is not None and page.total == len(ids) < NEWEST_FILES and newest_id <= 2 * len(ids):
        return Baseline(known=_dates_of(same_name), newest_id=newest_id)
    if newest_id is not None:
        return Baseline(
            known=_dates_of(same_name),
            is_complete=False,
            newest_id=newest_id,
            newest_at=_latest(page.items),
            taken_at=_server_time(reply),
        )
    library = yield from list_all()
    return baseline_in(library, [media for media in library if media.name == name])


def baseline_in(library: Sequence[Media], same_name: Iterable[Media]) -> Baseline:
    """Take the baseline from a list that was read anyway.

    :param library: all files.
    :param same_name: those of them that are judged later; they bear the names that are uploaded.
    """
    newest_id = greatest_growing_id(library, len(library))
    latest = None if newest_id is None else _latest(nlargest(NEWEST_FILES, library, key=lambda media: int(media.id)))
    return Baseline(known=_dates_of(same_name), newest_id=newest_id, newest_at=latest)


def _dates_of(listed: Iterable[Media]) -> dict[str, int | None]:
    return {str(media.id): microseconds(media.created_at) for media in listed}


def _latest(listed: Iterable[Media]) -> int | None:
    return max((date for media in listed if (date := microseconds(media.created_at)) is not None), default=None)


def _server_time(reply: ApiResponse) -> int | None:
    try:
        moment = parsedate_to_datetime(reply.headers.get("date", ""))
    except ValueError:
        return None
    date: int | None = microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return date

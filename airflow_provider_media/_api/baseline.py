"""The state of the library at a time, to decide later which files are newer.

Ids need not grow: they may be random, sharded or descending, or an imported id may be greater than all later ones. So
an id is compared with the greatest known id only where the list shows that ids grow, otherwise with all known ids.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.flows import Flow, id_number, list_named
from airflow_provider_media._api.protocol import build_list, parse_page
from airflow_provider_media._api.values import NO_TIME, parse_http_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_media.models import Media

NEWEST_FILES = 100
"""Number of newest files by which to decide whether ids grow."""

MIN_DATES = 10
"""Min distinct creation dates; random ids match the order of 10 dates with a probability of 1 in 10!."""

_CLOCK_DIFFERENCE = timedelta(minutes=5) // timedelta(microseconds=1)
"""Max difference in microseconds between the ``Date`` header and the clock of the creation dates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The state of the library before an upload.

    :param known: the existing files by id, with their creation dates in microseconds since 1970, or None.
    :param is_complete: whether ``known`` has all existing files that may be compared later.
    :param newest_id: the greatest id; None where ids do not grow.
    :param newest_at: the latest creation date among the newest files, in microseconds since 1970.
    :param taken_at: the server's time, in microseconds since 1970.
    """

    known: Mapping[str, int | None] = field(default_factory=dict)
    is_complete: bool = True
    newest_id: int | None = None
    newest_at: int | None = None
    taken_at: int | None = None

    def is_newer(self, media: Media) -> bool | None:
        """Return whether a file was stored after the baseline was fetched; None if that is unknown.

        :param media: an entry of the list, because its date is compared with dates of the list.
        """
        created = microseconds(media.created_at)
        if str(media.id) in self.known:
            before = self.known[str(media.id)]
            return created is not None and before is not None and created > before  # the id was reused
        if self.is_complete or self.is_exceeded_by(media):
            return True
        if created is None or self.newest_at is None:
            return None if id_number(media.id) is None else False
        if created <= self.newest_at:
            return False
        latest = microseconds(datetime.now(UTC)) + _CLOCK_DIFFERENCE
        if self.taken_at is None or created > latest or 0 <= self.taken_at - created <= _CLOCK_DIFFERENCE:
            return None
        return bool(created > self.taken_at)

    def is_exceeded_by(self, media: Media) -> bool:
        """Return whether the id of a file is greater than the greatest known id."""
        number = id_number(media.id)
        return number is not None and self.newest_id is not None and number > self.newest_id

    def newer_in(self, library: Sequence[Media]) -> tuple[list[Media], list[Media]]:
        """Return the newer files of the whole list, and those that may be newer."""
        decided = [(media, self.is_newer(media)) for media in library]
        if not self.is_complete and greatest_growing_id(library, len(library), shown_by=len(library)):
            # The whole list confirms that ids grow, so dates, which may be in the future, are not needed.
            decided = [(media, newer if self.is_exceeded_by(media) else False) for media, newer in decided]
        return [media for media, newer in decided if newer], [media for media, newer in decided if newer is None]

    def including(self, ids: Iterable[int | str]) -> Baseline:
        """Return a copy with more known files, which the list may lack."""
        return replace(self, known={**{str(media_id): None for media_id in ids}, **self.known})

    def reduced(self, *, max_known: int) -> Baseline | None:
        """Return a copy without the known ids if there are too many; None if ids do not grow."""
        if len(self.known) <= max_known:
            return self
        return None if self.newest_id is None else replace(self, known={}, is_complete=False)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Baseline:
        """Create an instance from :meth:`to_dict` output; raise a ValueError if it is invalid."""
        known, is_complete = values["known"], values["is_complete"]
        numbers = {name: values[name] for name in ("newest_id", "newest_at", "taken_at")}
        if not isinstance(known, dict) or not isinstance(is_complete, bool):
            raise ValueError("known must be a dict, and is_complete a bool")  # noqa: TRY004 - one error for all shapes
        if any(type(number) not in (int, type(None)) for number in (*known.values(), *numbers.values())):
            raise ValueError("ids and dates must be integers or None")
        return cls(known=known, is_complete=is_complete, **numbers)


def microseconds(moment: datetime | None) -> Any:
    """Return a date in microseconds since 1970; None if its time of day is unknown."""
    if moment is None or moment.tzinfo is NO_TIME:
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def greatest_growing_id(listed: Iterable[Media], total: int | None, *, shown_by: int = NEWEST_FILES) -> int | None:
    """Return the greatest id if the ``shown_by`` greatest ids and their dates show that ids grow; otherwise None."""
    newest = nlargest(shown_by, listed, key=lambda media: media.id if isinstance(media.id, int) else 0)
    ids = [media.id for media in newest if isinstance(media.id, int)]
    if not ids or len(ids) < len(newest) or any(id_ > 2 * older for id_, older in pairwise(ids)):
        return None  # for example an imported id, after which ids continue lower
    dates = [microseconds(media.created_at) for media in newest]
    if None not in dates and len(set(dates)) >= MIN_DATES and dates == sorted(dates, reverse=True):
        return ids[0]
    # A counter from 1. Dates may be out of order (parallel uploads), all equal, or missing.
    is_dense = total is not None and ids[0] <= 2 * total
    return ids[0] if is_dense and (None in dates or dates[0] >= dates[-1]) else None


def fetch_baseline(name: str) -> Flow[Baseline]:
    """Fetch the state of the library: a single request of any library size, where ids grow.

    It also detects a rejected API key before a large body is sent. Where ids may not grow, the files of the
    name are listed.
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
            taken_at=microseconds(parse_http_date(reply.headers.get("date", ""))),
        )
    listed = yield from list_named(name)
    return baseline_in(listed.newest, [media for media in listed.files if media.name == name], total=listed.total)


def baseline_in(newest: Sequence[Media], same_name: Iterable[Media], *, total: int | None = None) -> Baseline:
    """Return the baseline of a list: all files or those with the greatest ids, and those with the uploads' names."""
    newest_id = greatest_growing_id(newest, len(newest) if total is None else total)
    latest = None if newest_id is None else _latest(nlargest(NEWEST_FILES, newest, key=lambda media: int(media.id)))
    return Baseline(known=_dates_of(same_name), newest_id=newest_id, newest_at=latest)


def _dates_of(listed: Iterable[Media]) -> dict[str, int | None]:
    return {str(media.id): microseconds(media.created_at) for media in listed}


def _latest(listed: Iterable[Media]) -> int | None:
    return max((date for media in listed if (date := microseconds(media.created_at)) is not None), default=None)

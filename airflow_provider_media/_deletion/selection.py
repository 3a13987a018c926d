"""Which files a clean-up selects: by what the API surely tells; what it leaves out is unknown, and never selected."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.filters import folder_matches, name_matches, type_matches
from airflow_provider_media._api.flows import Flow, get_media, list_all, oldest_first
from airflow_provider_media._api.timestamps import min_age
from airflow_provider_media.exceptions import MediaError, MediaNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

    from airflow_provider_media.models import Media

MAX_LOOKUPS = 1000
"""How many files are got by their ids at most: a minute's worth of the platform's rate limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a clean-up is after; all that is given must hold.

    :param name: a name or a pattern with ``*``, ``?`` and ``[...]``.
    :param is_name_exact: whether the name is taken literally.
    :param mime_type: a type or a pattern, such as ``image/*``.
    :param folder_id: the folder that holds the file.
    :param older_than: how long ago the library stored it at least.
    :param keep_last: how many of each name stay, the newest ones, however old.
    """

    name: str | None = None
    is_name_exact: bool = False
    mime_type: str | None = None
    folder_id: str | None = None
    older_than: timedelta | None = None
    keep_last: int | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it leaves nothing out, whatever the library holds."""
        others = (self.folder_id, self.older_than, self.keep_last)
        fits_all_names = _fits_all(self.name) and not (self.name and self.is_name_exact)
        return fits_all_names and _fits_all(self.mime_type) and all(other is None for other in others)

    def may_take(self, media: Media) -> bool:
        """Whether the list alone does not rule a file out."""
        in_folder = media.folder_id is None or folder_matches(media, self.folder_id)
        return (
            in_folder
            and name_matches(media, self.name, is_exact=self.is_name_exact)
            and type_matches(media, self.mime_type)
        )

    def needs_details_for(self, media: Media) -> bool:
        """Whether the list left out what decides; getting the file by its id may tell."""
        no_folder = self.folder_id is not None and media.folder_id is None
        needs_moment = self.older_than is not None or (self.keep_last is not None and isinstance(media.id, str))
        return no_folder or (needs_moment and media.created_at is None)

    def is_order_unclear(self, media: Media, of_name: int) -> bool:
        """Whether the file's date is to tell which of its name are the newest: ids need not grow.

        :param of_name: how many files bear the name.
        """
        return self.keep_last is not None and of_name > self.keep_last and media.created_at is None


def _fits_all(pattern: str | None) -> bool:
    """Whether a pattern of a name or a type leaves nothing out, as ``*`` and ``*/*`` do not."""
    return pattern is None or ("*" in pattern and set(pattern) <= set("*?/"))


def find_candidates(selection: Selection) -> Flow[list[Media]]:
    """List the library; get those files of which the list left out what decides, the oldest ones first.

    At most :data:`MAX_LOOKUPS` of them are got: what the others leave out stays unknown. What is gone meanwhile is left
    out.
    """
    found = [media for media in (yield from list_all()) if selection.may_take(media)]
    of_name = Counter(media.name for media in found)
    unclear = [
        media
        for media in oldest_first(found)
        if selection.needs_details_for(media) or selection.is_order_unclear(media, of_name[media.name])
    ]
    looked_up: dict[str, Media | None] = {}
    for media in unclear[:MAX_LOOKUPS]:
        looked_up[str(media.id)] = yield from _look_up(media)
    return [full for media in found if (full := looked_up.get(str(media.id), media))]


def _look_up(media: Media) -> Flow[Media | None]:
    """Add what the list left out, where getting the file by its id tells it; None when it is gone."""
    try:
        told = yield from get_media(media.id)
    except MediaError as problem:
        if not isinstance(problem, MediaNotFoundError):
            raise
        return None
    folder_id = told.folder_id if media.folder_id is None else media.folder_id
    return replace(
        media,
        folder_id=folder_id,
        created_at=media.created_at or told.created_at,
        alternate_id=media.alternate_id or told.alternate_id,
    )


def select(candidates: Iterable[Media], selection: Selection, *, now: datetime) -> tuple[Media, ...]:
    """Pick the files that a clean-up deletes, in the order of the list.

    :param candidates: what :func:`find_candidates` found.
    :param now: with a time zone.
    """
    in_folder = [media for media in candidates if selection.folder_id is None or media.folder_id is not None]
    fitting = [media for media in in_folder if selection.may_take(media)]
    kept = _newest_of_each_name(fitting, selection.keep_last) if selection.keep_last is not None else set()
    return tuple(media for media in fitting if str(media.id) not in kept and _is_old(media, selection.older_than, now))


def _is_old(media: Media, older_than: timedelta | None, now: datetime) -> bool:
    if older_than is None:
        return True
    if media.created_at is None:
        return False
    return min_age(media.created_at, now) >= older_than


def _newest_of_each_name(found: Iterable[Media], count: int) -> set[str]:
    """Find the ids that are kept: the newest of each name, or all of a name whose files have no known order."""
    of_name: dict[str | None, list[Media]] = defaultdict(list)
    for media in found:
        of_name[media.name].append(media)
    kept: set[str] = set()
    for name, several in of_name.items():
        kept.update(str(media.id) for media in (several if name is None else _newest(several, count)))
    return kept


def _newest(several: list[Media], count: int) -> list[Media]:
    """Pick all that may be among the newest: by date, and by id where all ids are numbers.

    Ids often grow, but need not: where ids and dates disagree, the newest by either stay, and a file without a date
    stays beside dated ones. Where no file has a date, the ids decide; where these are no numbers, all stay. An id that
    is a string says nothing, not even one of digits.
    """
    have_numbers = all(isinstance(media.id, int) for media in several)
    dated = [media for media in several if media.created_at]
    if not dated and not have_numbers:
        return several
    newest = [media for media in several if not media.created_at] if dated else []
    # Of one moment the ids tell the newer one, or else any may be.
    orders: list[tuple[list[Media], Callable[[Media], Any]]] = [
        (dated, lambda media: (media.created_at, media.id if have_numbers else 0))
    ]
    if have_numbers:
        orders.append((several, lambda media: media.id))
    for ordered, order in orders:
        oldest_kept = sorted(map(order, ordered))[-count:][:1]
        newest += [media for media in ordered if order(media) >= oldest_kept[0]]
    return newest

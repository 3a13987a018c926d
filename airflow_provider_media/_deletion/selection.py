"""Select the files of a cleanup. A file with an unknown value for a criterion is never selected."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.flows import (
    Flow,
    folder_matches,
    get_media,
    list_all,
    name_matches,
    oldest_first,
    type_matches,
)
from airflow_provider_media._api.values import min_age
from airflow_provider_media.exceptions import MediaNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

    from airflow_provider_media.models import Media

MAX_LOOKUPS = 1000
"""Max files fetched by id; one minute of the platform's rate limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The criteria of a cleanup; a file must meet all of them."""

    name: str | None = None
    is_name_exact: bool = False
    mime_type: str | None = None
    folder_id: str | None = None
    older_than: timedelta | None = None
    keep_last: int | None = None

    @property
    def matches_everything(self) -> bool:
        """Whether it selects every file of every library."""
        others = (self.folder_id, self.older_than, self.keep_last)
        matches_all_names = _matches_all(self.name) and not (self.name and self.is_name_exact)
        return matches_all_names and _matches_all(self.mime_type) and all(other is None for other in others)

    def could_match(self, media: Media) -> bool:
        """Return whether a file may meet the criteria, as far as its name, type and folder show."""
        in_folder = media.folder_id is None or folder_matches(media, self.folder_id)
        return (
            in_folder
            and name_matches(media, self.name, is_exact=self.is_name_exact)
            and type_matches(media, self.mime_type)
        )

    def needs_details_for(self, media: Media) -> bool:
        """Return whether the list lacks a field that a criterion needs."""
        no_folder = self.folder_id is not None and media.folder_id is None
        needs_date = self.older_than is not None or (self.keep_last is not None and isinstance(media.id, str))
        return no_folder or (needs_date and media.created_at is None)

    def is_old_enough(self, media: Media, now: datetime) -> bool:
        """Return whether a file has the age; False if its age is unknown."""
        if self.older_than is None:
            return True
        return media.created_at is not None and min_age(media.created_at, now) >= self.older_than


def _matches_all(pattern: str | None) -> bool:
    """Return whether a pattern matches every name or type, as ``*`` and ``*/*`` do."""
    return pattern is None or ("*" in pattern and set(pattern) <= set("*?/"))


def find_candidates(selection: Selection) -> Flow[list[Media]]:
    """List the files that may meet the criteria, with details that the list lacks.

    At most :data:`MAX_LOOKUPS` files are fetched by id, the oldest ones first; the details of others stay unknown.
    Files that no longer exist are skipped.
    """
    found = [media for media in (yield from list_all()) if selection.could_match(media)]
    of_name = Counter(media.name for media in found)

    def is_incomplete(media: Media) -> bool:
        # The newest files of a name are found by date, because ids need not grow.
        of_several = selection.keep_last is not None and of_name[media.name] > selection.keep_last
        return selection.needs_details_for(media) or (of_several and media.created_at is None)

    fetched: dict[str, Media | None] = {}
    for media in list(filter(is_incomplete, oldest_first(found)))[:MAX_LOOKUPS]:
        details = yield from _get(media)
        fetched[str(media.id)] = details and replace(
            media,
            folder_id=details.folder_id if media.folder_id is None else media.folder_id,
            created_at=media.created_at or details.created_at,
            alternate_id=media.alternate_id or details.alternate_id,
        )
    return [full for media in found if (full := fetched.get(str(media.id), media))]


def _get(media: Media) -> Flow[Media | None]:
    try:
        return (yield from get_media(media.id))
    except MediaNotFoundError:
        return None


def find_hidden_ids(selected: Iterable[Media]) -> Flow[list[Media]]:
    """Return those of the files that have an id that only a GET shows, with this id as the alternate id."""
    found: list[Media] = []
    for media in selected:
        details = (yield from _get(media)) if media.alternate_id is None else None
        if details and (hidden := [media_id for media_id in details.ids if media_id not in media.ids]):
            found.append(replace(media, alternate_id=hidden[0]))
    return found


def select(candidates: Iterable[Media], selection: Selection, *, now: datetime) -> tuple[Media, ...]:
    """Select the files to delete, in the order of the list."""
    in_folder = [media for media in candidates if selection.folder_id is None or media.folder_id is not None]
    matching = list(filter(selection.could_match, in_folder))
    of_name: dict[str | None, list[Media]] = defaultdict(list)
    for media in matching:
        of_name[media.name].append(media)
    kept: set[str] = set()
    if selection.keep_last is not None:
        for name, files in of_name.items():
            newest = files if name is None else _newest(files, selection.keep_last)
            kept.update(str(media.id) for media in newest)
    return tuple(media for media in matching if str(media.id) not in kept and selection.is_old_enough(media, now))


def _newest(files: list[Media], count: int) -> list[Media]:
    """Return all files that may be among the newest: by date, and by id if all ids are integers.

    Ids often grow, but need not. Where ids and dates disagree, the newest by either are kept. Files without a date are
    kept if others have one. Without any dates the ids decide; if these are not integers, all files are kept. String ids
    have no order, not even strings of digits.
    """
    have_numbers = all(isinstance(media.id, int) for media in files)
    dated = [media for media in files if media.created_at]
    if not dated and not have_numbers:
        return files

    def newest(ordered: list[Media], order: Callable[[Media], Any]) -> list[Media]:
        oldest_kept = sorted(map(order, ordered))[-count:][:1]
        return [media for media in ordered if order(media) >= oldest_kept[0]]

    undated = [media for media in files if not media.created_at] if dated else []
    # Files with the same date are ordered by id if possible; otherwise all of them are kept.
    by_date = newest(dated, lambda media: (media.created_at, media.id if have_numbers else 0))
    by_id = newest(files, lambda media: media.id) if have_numbers else []
    return undated + by_date + by_id

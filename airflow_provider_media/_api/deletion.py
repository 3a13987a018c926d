"""Read files again before they are kept or deleted: a file may be gone, or its id may belong to another file."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_media._api.flows import Flow, Paginator, delete_media, get_media, get_settled
from airflow_provider_media._api.values import format_ids
from airflow_provider_media.exceptions import MediaNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_MAX_DATE_DIFFERENCE = timedelta(days=2)
"""A list and a GET may write the same date with another precision or time zone, or without either."""


def find_unchanged(found: Sequence[Media], *, max_by_id: int, settle_seconds: float) -> Flow[list[Media]]:
    """Return those of the files that the library still has, with the same name, size, folder and date.

    They are read by id or from the list, whichever takes fewer requests. Files that the list lacks are read by id,
    because a list may lag.

    :param max_by_id: read up to this many files by id in any case, because a list may show files that are gone.
    :param settle_seconds: how long a listed file may take until a GET finds it.
    """
    now: dict[str, Media] = {}
    ids = dict.fromkeys(str(media.id) for media in found)
    if len(ids) > max_by_id:
        pages = Paginator(sort_by="id", sort_order="desc")
        while pages.next_request:
            page = pages.feed((yield pages.next_request))
            now.update((str(media.id), media) for media in page if str(media.id) in ids)
            remaining = pages.requests_remaining
            if remaining is None or len(ids) - len(now) <= remaining:
                break
    now |= yield from get_settled((media_id for media_id in ids if media_id not in now), settle_seconds)
    still = [media for media in found if str(media.id) in now]
    different = [media for media in still if is_different_file(media, now[str(media.id)])]
    if different:
        log.warning("Skipped %s: the ids belong to other files by now", format_ids(different))
    return [media for media in still if media not in different]


def is_different_file(before: Media, now: Media) -> bool:
    """Return whether an id belongs to another file by now, or the file was moved."""
    folders = (before.folder_id, now.folder_id)
    pairs = [(before.name, now.name), (before.size or None, now.size or None)]
    if any(None not in pair and pair[0] != pair[1] for pair in pairs):
        return True
    if None not in folders and str(folders[0]) != str(folders[1]):
        return True
    dates = (before.created_at, now.created_at)
    return None not in dates and abs(dates[0] - dates[1]) > _MAX_DATE_DIFFERENCE  # type: ignore[operator]


def get_unchanged(media: Media) -> Flow[Media | None]:
    """Get a file right before its deletion; None if it no longer exists or its id belongs to another file.

    A page of the list is not sufficient, because a stale list still shows a file whose id was reused.
    """
    try:
        now = yield from get_media(media.id)
    except MediaNotFoundError:
        return None
    if is_different_file(media, now):
        log.warning("Skipped %r: the id belongs to another file by now", media.id)
        return None
    return now


def delete_unchanged(
    found: Iterable[Media], before_delete: Callable[[Iterable[Media]], object]
) -> Flow[tuple[int | str, ...]]:
    """Delete those of the files that are unchanged, each right after a GET.

    :param before_delete: raises when any of the given files must not be deleted, or returns True to keep them. It was
        called for the files as listed, and is called again for a file with an id that only the GET shows.
    :return: the ids of all files that were not kept, also of those that another task deleted.
    """
    found = list(found)
    kept: list[Media] = []
    for media in found:
        now = yield from get_unchanged(media)
        if now is None:
            continue
        if not set(now.ids) <= set(media.ids) and before_delete([now]):
            kept.append(media)
            continue
        try:
            yield from delete_media(media.id)
        except MediaNotFoundError:
            continue
    return tuple(media.id for media in found if media not in kept)

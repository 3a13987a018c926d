"""Files are read again right before they are deleted: what was selected may be gone, or its id be another file's."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_media._api.flows import Flow, Paginator, delete_media, get_media, get_settled
from airflow_provider_media.exceptions import MediaNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

MAX_BATCH = 100
"""So many files are read again at a time, so that the last one's facts are hardly older than the first one's."""

_MAX_DATE_DIFFERENCE = timedelta(days=2)
"""A list and a get may write the same date in other precision or zones, or without either."""


def read_again(media_ids: Iterable[int | str], *, max_by_id: int = 1) -> Flow[dict[str, Media]]:
    """Return those of the files that the library has now, by id.

    They are read by their ids or by pages of the list, whichever takes fewer requests; what the pages lack is read by
    its id, because a list may lag.

    :param max_by_id: read so many files by their ids in any case: a list may also show files that are gone.
    """
    now: dict[str, Media] = {}
    wanted = dict.fromkeys(map(str, media_ids))
    if len(wanted) > max_by_id:
        walk = Paginator(sort_by="id", sort_order="desc")
        while walk.next_request:
            page = walk.feed((yield walk.next_request))
            now.update((str(media.id), media) for media in page if str(media.id) in wanted)
            if len(wanted) - len(now) <= (walk.requests_remaining or 0) or walk.requests_remaining is None:
                break
    for media_id in [media_id for media_id in wanted if media_id not in now]:
        try:
            now[media_id] = yield from get_media(media_id)
        except MediaNotFoundError:
            continue
    return now


def still_there(found: Sequence[Media], *, max_by_id: int = 1, settle_seconds: float = 0.0) -> Flow[list[Media]]:
    """Return those of the files that the library still has, as they were.

    One of another name, size, folder or time by now is another file.

    :param max_by_id: see :func:`read_again`.
    :param settle_seconds: how long a listed file may take until a get by its id finds it.
    """
    now = yield from read_again((media.id for media in found), max_by_id=max_by_id)
    if settle_seconds:
        missing = [media.id for media in found if str(media.id) not in now]
        now |= yield from get_settled(missing, settle_seconds)
    there = [media for media in found if str(media.id) in now]
    others = [media for media in there if is_other(media, now[str(media.id)])]
    if others:
        log.warning("Other files by now, so they are left alone: %s", ", ".join(str(media.id) for media in others))
    return [media for media in there if media not in others]


def is_other(before: Media, now: Media) -> bool:
    """Whether an id is surely that of another file by now, or the file was moved."""
    facts = [(before.name, now.name), (before.size or None, now.size or None)]
    facts.append((_text(before.folder_id), _text(now.folder_id)))
    if any(None not in pair and pair[0] != pair[1] for pair in facts):
        return True
    moments = (before.created_at, now.created_at)
    return None not in moments and abs(moments[0] - moments[1]) > _MAX_DATE_DIFFERENCE  # type: ignore[operator]


def _text(folder_id: int | str | None) -> str | None:
    return None if folder_id is None else str(folder_id)


def delete_older(older: Iterable[Media]) -> Flow[tuple[int | str, ...]]:
    """Delete the files that a new one replaces; return their ids, also of those that another task deleted meanwhile."""
    older = list(older)
    there = yield from still_there(older)
    for old in there:
        try:
            yield from delete_media(old.id)
        except MediaNotFoundError:
            continue
    return tuple(old.id for old in older)

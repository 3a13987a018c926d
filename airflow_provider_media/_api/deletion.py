"""Files are read again right before they are deleted: what was selected may be gone, or its id be another file's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_media._api.flows import Flow, PageWalk, delete_media, get_media
from airflow_provider_media._api.problem import Kind, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

MAX_BATCH = 100
"""So many files are read again at a time, so that the last one's facts are hardly older than the first one's."""


def read_again(media_ids: Iterable[int | str], *, max_by_id: int = 1) -> Flow[dict[str, Media]]:
    """Return those of the files that the library has now, by id.

    They are read by their ids or by pages of the list, whichever takes fewer requests; what the pages lack is read by
    its id, because a list may lag.

    :param max_by_id: read so many files by their ids in any case: a list may also show files that are gone.
    """
    now: dict[str, Media] = {}
    wanted = dict.fromkeys(map(str, media_ids))
    if len(wanted) > max_by_id:
        walk = PageWalk(sort_by="id", sort_order="desc")
        while walk.next_call:
            page = walk.feed((yield walk.next_call))
            now.update((str(media.id), media) for media in page if str(media.id) in wanted)
            if len(wanted) - len(now) <= (walk.requests_left or 0) or walk.requests_left is None:
                break
    for media_id in [media_id for media_id in wanted if media_id not in now]:
        try:
            now[media_id] = yield from get_media(media_id)
        except Problem as problem:
            if problem.kind is not Kind.NOT_FOUND:
                raise
    return now


def still_there(found: Sequence[Media]) -> Flow[list[Media]]:
    """Return those of the files that the library still has. One of another name or size by now is another file."""
    now = yield from read_again(media.id for media in found)
    there = [media for media in found if str(media.id) in now]
    others = [media for media in there if _is_other(media, now[str(media.id)])]
    if others:
        log.warning("Other files by now, so they are left alone: %s", ", ".join(str(media.id) for media in others))
    return [media for media in there if media not in others]


def _is_other(before: Media, now: Media) -> bool:
    names, sizes = (before.name, now.name), (before.size, now.size)
    return (None not in names and names[0] != names[1]) or (all(sizes) and sizes[0] != sizes[1])


def delete_older(older: Iterable[Media]) -> Flow[tuple[int | str, ...]]:
    """Delete the files that a new one replaces; return their ids, also of those that another task deleted meanwhile."""
    older = list(older)
    there = yield from still_there(older)
    for old in there:
        try:
            yield from delete_media(old.id)
        except Problem as problem:
            if problem.kind is not Kind.NOT_FOUND:
                raise
    return tuple(old.id for old in older)

"""Find the files that sensors wait for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_media._api.flows import Flow, Paginator, Sleep, get_media, oldest_first, without_retries
from airflow_provider_media._api.protocol import invalid_entry_error
from airflow_provider_media._polling.criteria import NameIndex, is_pattern
from airflow_provider_media._polling.newest import Horizon, Reading
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaError,
    MediaNotFoundError,
    MediaRateLimitError,
    MediaRequestError,
    TransferAbortedError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airflow_provider_media._polling.criteria import LookupResult
    from airflow_provider_media.models import Media

_MAX_IDS_WITHOUT_LIST = 2
"""Up to this many ids are fetched without reading the list first."""

_MAX_LISTINGS = 2
"""Maximum number of times a lookup reads the list, if files are deleted in the meantime."""

_MAX_NEWEST_PAGES = 2

_MAX_DETAILS = 100
_MAX_CACHED_DETAILS = 10_000

_LOOKUPS_PER_LISTING = 50
"""A shared poll reads the whole list in every 50th lookup."""

_MAX_FAILED_IDS = 2
"""A lookup stops fetching ids when this many failed."""

_GLOBAL_ERRORS = (MediaAuthError, MediaRateLimitError, MediaConfigurationError, TransferAbortedError)
"""Errors that are not specific to an id."""

_TESTS_PER_TURN = 25_000
"""Number of pattern tests (about 10 ms) after which a lookup yields to the event loop."""


def lookup(
    ids: Collection[str],
    names: Collection[str],
    *,
    result: LookupResult,
    needs: Mapping[str, frozenset[str]] | None = None,
    details: dict[Media, Media] | None = None,
    newest_only: bool = False,
) -> Flow[bool]:
    """Find ids and names, with about as few requests as possible.

    Names require the whole list: one request a page. For ids alone, the list is read until its remaining pages would
    take more requests than fetching the missing ids: at most one request more than the ids or the pages, whichever is
    less. If the list has no totals, it is assumed to be twice as long as the pages read: at most twice that.

    Files can be missed if others are deleted while the list is read. Then the list is read again.

    :param result: receives the files found, also if the lookup fails.
    :param needs: the fields to fetch if the list lacks them, by id or name.
    :param details: the files fetched for them so far.
    :param newest_only: search names in one request, or two if the library may have no more files.
    :return: whether all files of the library were searched.
    """
    missing, is_whole = list(ids), True
    if newest_only:
        is_whole = yield from _read_newest(names, result)
    elif names or len(missing) > _MAX_IDS_WITHOUT_LIST:
        missing = yield from _read_list(missing, names, result)
    yield from _fetch_each(missing, result, retry=True)
    yield from _fetch_details(result, needs or {}, {} if details is None else details)
    if is_whole and (errors := result.id_errors | result.name_errors):
        raise next(iter(errors.values()))
    return is_whole


def _read_list(ids: Iterable[str], names: Collection[str], result: LookupResult) -> Flow[list[str]]:
    """Search the list; return the ids to fetch, because that takes no more requests than the remaining pages."""
    search = _Search(ids, names, result)
    for _ in range(_MAX_LISTINGS):
        pages = Paginator(sort_by="id", sort_order="asc" if names else "desc")
        while pages.next_request:
            yield from search.read_page(pages)
            if not names and _fetching_is_cheaper(search.missing, pages):
                return list(search.missing)
        search.finish()
        is_complete = not search.missing and all(name in result.names and not is_pattern(name) for name in names)
        if is_complete or not (pages.shrank or pages.unlisted):
            break
    return []


def _read_newest(names: Collection[str], result: LookupResult) -> Flow[bool]:
    search, pages = _Search((), names, result), Paginator(sort_by="id", sort_order="desc")
    while pages.next_request and pages.requests_done < _MAX_NEWEST_PAGES and not pages.requests_remaining:
        yield from search.read_page(pages)
    search.finish()
    return pages.next_request is None


def _fetch_details(
    result: LookupResult, needs: Mapping[str, frozenset[str]], details: dict[Media, Media]
) -> Flow[None]:
    """Complete the files whose list entries lack a field that decides whether they are accepted.

    A file is fetched once, and again if its list entry changes; at most 100 files in each lookup. Deleted files are
    left out.
    """
    remaining = _MAX_DETAILS
    for found, key in [(each, key) for each in (result.ids, result.names) for key in each if key in needs]:
        completed = []
        for media in found[key]:
            is_complete = all(getattr(media, name) is not None for name in needs[key])
            if not is_complete and media not in details and remaining:
                remaining -= 1
                try:
                    full = yield from get_media(media.id)
                except MediaNotFoundError:
                    continue
                except MediaError as error:
                    if isinstance(error, _GLOBAL_ERRORS) or error.retry_after:
                        raise
                else:  # after an error the next lookup fetches it again
                    if len(details) >= _MAX_CACHED_DETAILS:
                        details.clear()
                    details[media] = replace(
                        media,
                        folder_id=full.folder_id if media.folder_id is None else media.folder_id,
                        mime_type=media.mime_type or full.mime_type,
                        created_at=media.created_at or full.created_at,
                    )
            completed.append(details.get(media, media))
        found[key] = completed


def _fetching_is_cheaper(missing: Collection[str], pages: Paginator) -> bool:
    remaining = pages.requests_done if pages.requests_remaining is None else pages.requests_remaining
    return len(missing) <= remaining


class _Search:
    """Searches pages of the list for ids and names.

    :ivar matches: the files found for each name or pattern, by id.
    """

    def __init__(self, ids: Iterable[str], names: Collection[str], result: LookupResult) -> None:
        self.missing = dict.fromkeys(ids)
        self.matches: dict[str, dict[str, Media]] = {}
        self._names = names
        self._index = NameIndex(names)
        self.result = result

    def read_page(self, pages: Paginator) -> Flow[tuple[Media, ...]]:
        """Request the next page and search it; return its files."""
        page = pages.feed((yield pages.next_request)) if pages.next_request else ()
        for entry in pages.invalid_entries:  # the errors of their ids and names
            if entry.media_id is not None and entry.media_id in self.missing:
                self.result.id_errors[entry.media_id] = invalid_entry_error(entry)
                del self.missing[entry.media_id]
            if entry.name is not None and entry.name in self._names:
                self.result.name_errors[entry.name] = invalid_entry_error(entry)
        tested = self._index.tested
        for media in page:
            if str(media.id) in self.missing:
                self.result.ids[str(media.id)] = [media]
                del self.missing[str(media.id)]
            for name in self._index.matching(media.name):
                self.matches.setdefault(name, {})[str(media.id)] = media
            if self._index.tested - tested >= _TESTS_PER_TURN:
                tested = self._index.tested
                yield Sleep(0)
        return page

    def finish(self) -> None:
        """Put the matches into the result."""
        self.result.names = {name: oldest_first(list(files.values())) for name, files in self.matches.items()}


class SharedLookup:
    """The lookups of a shared poll: first in the whole library, then among its newest files.

    A file that the whole list lacks is a new one, if it comes. So a later lookup reads the list, newest first, down to
    500 files that an earlier one searched, because a file may appear late. The whole list is read for ids and names
    that were not searched before, at every 50th lookup, after a deletion during a reading, where neither ids nor dates
    order the files, and if a further file matches a name whose earlier matches may be deleted.
    """

    def __init__(self) -> None:
        self._horizon: Horizon | None = None
        self._ids: frozenset[str] = frozenset()
        self._names: frozenset[str] = frozenset()
        self._matched: dict[str, set[Media]] = {}
        self._details: dict[Media, Media] = {}
        self._lookups = 0  # since the whole list was read
        self._sorts_by_date = True  # until the server refuses

    def run(
        self,
        ids: Collection[str],
        names: Collection[str],
        *,
        also_ids: Iterable[str] = (),
        also_names: Iterable[str] = (),
        needs: Mapping[str, frozenset[str]] | None = None,
        result: LookupResult,
    ) -> Flow[None]:
        """Find ids and names; see :func:`lookup`.

        :param also_ids: ids to find if the list is read anyway.
        :param also_names: names to find if the list is read anyway.
        :param needs: the fields to fetch if the list lacks them, by id, name or pattern.
        """
        if names or len(ids) > _MAX_IDS_WITHOUT_LIST:
            all_ids, all_names = list(dict.fromkeys([*ids, *also_ids])), list(dict.fromkeys([*names, *also_names]))
            ids = yield from self._read_list(all_ids, all_names, result, fetchable=None if names else ids)
        # One attempt each, so that no id delays the others; if none gets a response, they have all attempts.
        if len(ids) == 1 or not (yield from _fetch_each(ids, result, retry=False)):
            yield from _fetch_each(ids, result, retry=True)
        yield from _fetch_details(result, needs or {}, self._details)

    def _read_list(
        self, ids: Collection[str], names: Collection[str], result: LookupResult, *, fetchable: Collection[str] | None
    ) -> Flow[list[str]]:
        """Search the list; return the ids to fetch instead of reading on.

        :param fetchable: the ids that may be fetched; None if the list must be read.
        """
        is_searched = self._ids.issuperset(ids) and self._names.issuperset(names)
        is_due = self._lookups >= _LOOKUPS_PER_LISTING - 1
        horizon = self._horizon if is_searched and not is_due else None
        search, reading = _Search(ids, names, result), Reading(horizon)
        pages = Paginator(sort_by=reading.sort_by, sort_order="desc")
        while pages.next_request:
            try:
                reading.add((yield from search.read_page(pages)))
            except MediaRequestError as error:
                if type(error) is not MediaRequestError or reading.sort_by == "id":
                    raise
                self._sorts_by_date, self._horizon = False, None
                return (yield from self._read_list(ids, names, result, fetchable=fetchable))
            if horizon:
                if reading.reaches_horizon(pages.total) and not self._has_further_match(search.matches):
                    break
            elif fetchable is not None:
                missing = [key for key in (fetchable if names else ids) if key in search.missing]
                if _fetching_is_cheaper(missing, pages):
                    self._lookups = self._lookups if names else 0
                    return missing
        search.finish()
        self._record(reading, pages, search)
        self._ids, self._names = frozenset(ids), frozenset(names)
        return []

    def _record(self, reading: Reading, pages: Paginator, search: _Search) -> None:
        is_complete = pages.next_request is None
        horizon = reading.horizon(pages.total, is_complete=is_complete)
        if horizon and horizon[0] == "createdAt" and not self._sorts_by_date:
            horizon = None
        search.result.is_whole = is_complete
        if is_complete:
            self._lookups, self._matched = 0, {}
            self._horizon = None if pages.shrank or pages.unlisted else horizon
        else:
            self._lookups += 1
            self._horizon = self._horizon if pages.shrank else horizon
        for name, files in search.matches.items():
            self._matched.setdefault(name, set()).update(files.values())

    def _has_further_match(self, matches: Mapping[str, Mapping[str, Media]]) -> bool:
        return any(
            name in self._matched and not self._matched[name].issuperset(files.values())
            for name, files in matches.items()
        )


def _fetch_each(ids: Collection[str], result: LookupResult, *, retry: bool) -> Flow[bool]:
    """Fetch each id, until two failed; without retries, until two got no response.

    :return: whether any id got a response that a retry would not change.
    """
    failed, has_response = 0, False
    for number, media_id in enumerate(ids):
        flow = get_media(media_id)
        try:
            result.ids[media_id] = [(yield from (flow if retry else without_retries(flow)))]
        except MediaNotFoundError:
            pass
        except MediaError as error:
            if isinstance(error, _GLOBAL_ERRORS) or error.retry_after:
                raise
            has_response = has_response or not error.is_transient
            result.id_errors[media_id] = error
            failed += retry or error.status is None
            if failed == _MAX_FAILED_IDS:
                result.id_errors |= dict.fromkeys(list(ids)[number:], error)
                break
            continue
        has_response = True
        result.id_errors.pop(media_id, None)
    return has_response

"""Sequences of requests, as generators: each yields a request or a sleep and receives the response.

A transport runs them, blocking or not, so that the logic exists once. It throws a failed request's
:class:`MediaError` into the generator.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_media._api.name_search import MAX_SMALL_PAGES, NamePage, NameSearch, are_in_id_order, ids_descend
from airflow_provider_media._api.protocol import (
    MAX_PAGE,
    ApiRequest,
    ApiResponse,
    InvalidEntry,
    OtherMediaError,
    build_delete,
    build_get,
    build_list,
    invalid_entry_error,
    parse_media,
    parse_page,
)
from airflow_provider_media.exceptions import (
    Delivery,
    MediaError,
    MediaNotFoundError,
    MediaRequestError,
    MediaResponseError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_provider_media._api.retry import RetryState
    from airflow_provider_media.models import Media, MediaPage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait for the given seconds."""

    seconds: float


Flow = Generator[ApiRequest | Sleep, ApiResponse, T]


def sleep(seconds: float) -> Flow[None]:
    """Wait for the given seconds; a stop of the task ends the wait."""
    yield Sleep(seconds)


def with_shared_retries(flow: Flow[T], retry_state: RetryState) -> Flow[T]:
    """Let all requests of the flow share one retry state; by default each has its own."""
    return _map_requests(flow, lambda request: replace(request, retry_state=retry_state))


def with_time_limit(flow: Flow[T], seconds_remaining: Callable[[], float]) -> Flow[T]:
    """Stop retrying when the given time has passed."""
    return _map_requests(flow, lambda request: replace(request, retry_seconds=max(0.0, seconds_remaining())))


def without_retries(flow: Flow[T]) -> Flow[T]:
    """Disable retries for all requests of the flow."""
    return _map_requests(flow, lambda request: replace(request, max_attempts=1))


def with_purpose(flow: Flow[T], purpose: str) -> Flow[T]:
    """Set the purpose of all requests of the flow."""
    return _map_requests(flow, lambda request: replace(request, purpose=purpose))


def _map_requests(flow: Flow[T], change: Callable[[ApiRequest], ApiRequest]) -> Flow[T]:
    try:
        command = next(flow)
        while True:
            if isinstance(command, ApiRequest):
                command = change(command)
            try:
                response = yield command
            except MediaError as error:
                command = flow.throw(error)
            else:
                command = flow.send(response)
    except StopIteration as end:
        result: T = end.value
        return result


_MAX_REPEATED_PAGES = 3
_MAX_LISTINGS = 3
MAX_PAGES = 10_000
"""Max pages of a list: ten million files, or a million if the server shortens pages to 100."""

MAX_SEARCH_PAGES = 24
"""Max pages of a search by name; a library of a million files needs 11."""

_MAX_DIGITS = 100
"""An id with more digits is not a number, because Python refuses to parse thousands."""


class Paginator:
    """Reads the list page by page, up to its certain end.

    A total may count the page, be capped or be wrong. So the list ends with an empty page, or with a page shorter than
    a previous one if all files that the total counts were listed. In doubt, one more page is read.

    No id is returned twice, because files added during the reading move others to the next page. A server that repeats
    its pages endlessly (it ignores ``page``) is an error, and so is a list of more than :data:`MAX_PAGES` pages.

    :param is_relevant: whether an invalid entry of this name is an error instead of being skipped.
    :ivar invalid_entries: the invalid entries of the last page.
    :ivar next_request: the request for the next page; None at the end of the list.
    :ivar total: the last total; None if no page had one.
    :ivar shrank: whether a total decreased: files were deleted, so others may have moved to a page already read.
    """

    def __init__(
        self,
        *,
        start: int = 0,
        page_size: int = MAX_PAGE,
        sort_by: str | None = None,
        sort_order: str | None = None,
        is_relevant: Callable[[str], bool] | None = None,
    ) -> None:
        self.invalid_entries: list[InvalidEntry] = []
        self._is_relevant = is_relevant
        self._skipped = 0
        self._longest_page = 0
        self._build = partial(build_list, limit=page_size, sort_by=sort_by, sort_order=sort_order)
        self.requests_done = start
        self._seen: set[str] = set()
        self._repeated = 0
        self.total: int | None = None
        self._first_total: int | None = None
        self.shrank = False
        self.next_request: ApiRequest | None = self._build(page=start)

    @property
    def requests_remaining(self) -> int | None:
        """Estimated number of pages to read; None without a total."""
        if self.total is None or not self._listed:
            return None
        per_page = self._listed / self.requests_done
        return math.ceil(max(0, self.total - self._listed) / per_page)

    @property
    def unlisted(self) -> int:
        """Number of files counted by the first total and not listed so far."""
        return max(0, (self._first_total or 0) - self._listed)

    @property
    def _listed(self) -> int:
        return len(self._seen) + self._skipped

    @property
    def may_have_missed(self) -> bool:
        """Whether files may be missing from the list, by its totals, because others were deleted during the reading."""
        return self.shrank or (self.total is not None and self._listed < self.total)

    def feed(self, response: ApiResponse) -> tuple[Media, ...]:
        """Add the response to :attr:`next_request`; return its new files."""
        if self.next_request is None:
            return ()
        self.invalid_entries = []
        page = parse_page(self.next_request, response, self.invalid_entries)
        for entry in self.invalid_entries:
            if self._is_relevant and entry.name is not None and self._is_relevant(entry.name):
                raise invalid_entry_error(entry)
        new = tuple({str(media.id): media for media in page.items if str(media.id) not in self._seen}.values())
        self._seen.update(str(media.id) for media in new)
        self._skipped += len(self.invalid_entries)
        self._repeated = 0 if new else self._repeated + 1
        is_end = self._is_last(page, has_new=bool(new))
        if not is_end and self._repeated == _MAX_REPEATED_PAGES and page.items:
            raise MediaResponseError(
                f"Could not {self.next_request.purpose}: page {page.page} and the pages before it repeat files already"
                " listed; the server seems to ignore the page number.",
            )
        if page.total is not None:
            self.shrank = self.shrank or (self.total is not None and page.total < self.total)
            self.total = page.total
            self._first_total = page.total if self._first_total is None else self._first_total
        self.requests_done += 1
        if not is_end and self.requests_done >= MAX_PAGES:
            raise MediaResponseError(
                f"Could not {self.next_request.purpose}: it does not end within {MAX_PAGES} pages ({self._listed}"
                " files); the server seems to return new files without end.",
            )
        self._longest_page = max(self._longest_page, len(page.items))
        self.next_request = None if is_end else self._build(page=self.requests_done)
        return new

    def _is_last(self, page: MediaPage, *, has_new: bool) -> bool:
        if not page.items and not self.invalid_entries:
            return True
        # A total lower than the number of listed files is ignored.
        return page.total == self._listed and (not has_new or len(page.items) < self._longest_page)


def list_page(
    *, page: int = 0, limit: int = 10, sort_by: str | None = None, sort_order: str | None = None
) -> Flow[MediaPage]:
    """Return one page of the list."""
    request = build_list(page=page, limit=limit, sort_by=sort_by, sort_order=sort_order)
    return parse_page(request, (yield request))


def next_page(paginator: Paginator) -> Flow[tuple[Media, ...]]:
    """Read the next page and return its new files; none at the end."""
    return paginator.feed((yield paginator.next_request)) if paginator.next_request else ()


def list_all(is_relevant: Callable[[str], bool] | None = None) -> Flow[list[Media]]:
    """Return the whole library, by id, so that files added during the reading come last.

    Deletions during the reading can hide other files. If the totals show deletions, the list is read again, until two
    readings agree.
    """
    found: list[Media] = []
    for _ in range(_MAX_LISTINGS):
        paginator, before = Paginator(sort_by="id", sort_order="asc", is_relevant=is_relevant), found
        found = []
        while paginator.next_request:
            found += paginator.feed((yield paginator.next_request))
        if not paginator.may_have_missed or [media.id for media in found] == [media.id for media in before]:
            break
    return found


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """The files of a name and those with the greatest ids, or twice the whole library."""

    files: list[Media]
    newest: list[Media]
    total: int


def list_named(
    name: str, *, is_renamed: Callable[[Media], bool] = lambda _: False, is_complete: bool = False
) -> Flow[NamedFiles]:
    """List the files of a name, in a number of requests that grows with the logarithm of the library.

    The whole library is listed if it is small, if its list has no total or is not sorted by name, or if files were
    renamed.

    :param is_renamed: whether a file belongs to another name than its own.
    """
    if not is_complete:
        pages = Paginator(sort_by="id", sort_order="desc", is_relevant=name.__eq__)
        newest = yield from next_page(pages)
        if not pages.requests_remaining:  # without a total, the next page may be empty
            newest += yield from next_page(pages)
        if not pages.next_request:
            library = [*reversed(newest)]
            return NamedFiles(library, library, len(library))
        if ids_descend([media.id for media in newest]) and not any(map(is_renamed, newest)):
            found = yield from _search(name, pages, newest, is_renamed)
            if found is not None:
                return NamedFiles(found, [*newest], pages.total or 0)
    library = yield from list_all(name.__eq__)
    return NamedFiles(library, library, len(library))


def _search(
    name: str, newest: Paginator, others: Sequence[Media], is_renamed: Callable[[Media], bool]
) -> Flow[list[Media] | None]:
    """Search the list by name; None if the result is uncertain."""
    total, size = newest.total or 0, len(others) + len(newest.invalid_entries)
    if total <= MAX_SMALL_PAGES * size:
        return None
    search = NameSearch(name, others, total=total, page_size=size)
    for _ in range(min(MAX_SEARCH_PAGES, total // size)):
        if search.next_read is None:
            break
        index, limit = search.next_read
        pages = Paginator(start=index, page_size=limit, sort_by="name", sort_order="asc", is_relevant=name.__eq__)
        try:
            items = yield from next_page(pages)
        except MediaRequestError:
            return None  # the server does not sort by name
        if any(map(is_renamed, items)):
            return None
        count = len(items) + len(pages.invalid_entries)
        search.add(NamePage(start=index * limit, limit=limit, count=count, items=items, total=pages.total))
    if search.found is not None and search.may_be_by_id and not (yield from _is_sorted(search, size)):
        return None
    return search.found


def _is_sorted(search: NameSearch, limit: int) -> Flow[bool]:
    """Return whether the server sorts; a page by size shows it, although ids and names ascend together."""
    try:
        by_size = yield from next_page(Paginator(page_size=limit, sort_by="size", sort_order="asc"))
    except MediaRequestError:  # the server rejects the field, and so validates sortBy
        by_size = ()
    sizes = [media.size for media in by_size if media.size]
    if sizes != sorted(sizes):
        return False
    if are_in_id_order(by_size):  # of equal or unknown sizes: the oldest files
        search.add_others(by_size)
        return search.has_many_names
    return True


def find_media(name: str) -> Flow[list[Media]]:
    """Return the files of exactly this name, oldest first."""
    listed = yield from list_named(name)
    return oldest_first([media for media in listed.files if media.name == name])


def get_media(media_id: int | str) -> Flow[Media]:
    """Return one file's metadata; if the response describes another file, find it in the list instead."""
    request = build_get(media_id)
    response = yield request
    try:
        return parse_media(request, response)
    except OtherMediaError:
        for media in (yield from list_all()):
            if str(request.media_id) in media.ids:
                return media
        raise


FIRST_LOOKUP_WAIT_SECONDS = 1.0
MAX_LOOKUP_WAIT_SECONDS = 8.0


def get_settled(media_ids: Iterable[int | str], settle_seconds: float) -> Flow[dict[str, Media]]:
    """Return files by id; wait up to the given time for ids that are not found, because they may be new."""
    found: dict[str, Media] = {}
    missing = dict.fromkeys(map(str, media_ids))
    remaining, delay = settle_seconds, FIRST_LOOKUP_WAIT_SECONDS
    while True:
        for media_id in missing:
            try:
                found[media_id] = yield from get_media(media_id)
            except MediaNotFoundError:
                continue
        missing = dict.fromkeys(media_id for media_id in missing if media_id not in found)
        if not missing or remaining <= 0:
            return found
        delay = min(delay, remaining)
        yield Sleep(delay)
        remaining -= delay
        delay = min(delay * 2, MAX_LOOKUP_WAIT_SECONDS)


def delete_media(media_id: int | str) -> Flow[None]:
    """Delete one file. After an attempt whose response was lost, 404 counts as success."""
    try:
        yield build_delete(media_id)
    except MediaNotFoundError as error:
        if error.delivery is not Delivery.UNKNOWN:
            raise


def id_number(media_id: int | str) -> int | None:
    """Return an id as a number; None if it is not one. Numeric ids grow, others have no order."""
    text = str(media_id)
    return int(text) if text.isdecimal() and len(text) < _MAX_DIGITS else None


def oldest_first(found: list[Media]) -> list[Media]:
    """Sort by id if all are numbers, else by creation date if all have one, else keep the order."""
    if all(id_number(media.id) is not None for media in found):
        return sorted(found, key=lambda media: int(media.id))
    if all(media.created_at for media in found):
        return sorted(found, key=lambda media: media.created_at)  # type: ignore[arg-type, return-value]
    return found


def name_matches(media: Media, pattern: str | None, *, is_exact: bool = False) -> bool:
    """Return whether the name matches; a name with wildcards, such as ``banner [1].png``, also matches itself."""
    if pattern is None or media.name is None:
        return pattern is None
    return media.name == pattern or (not is_exact and fnmatchcase(media.name, pattern))


def type_matches(media: Media, pattern: str | None) -> bool:
    """Return whether the MIME type matches, ignoring case and parameters."""
    return pattern is None or fnmatchcase((media.mime_type or "").partition(";")[0].strip().lower(), pattern.lower())


def folder_matches(media: Media, folder_id: str | None) -> bool:
    """Return whether the file is in the folder; False if its folder is unknown."""
    return folder_id is None or (media.folder_id is not None and str(media.folder_id) == folder_id)

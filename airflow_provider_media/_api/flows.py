"""Requests that follow one another, as generators: each yields a call or a pause and is sent the reply.

A transport drives them (ten lines, sync or async), so that what to ask next is decided here once. A failed call is
thrown into the generator as a :class:`MediaError`.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

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
from airflow_provider_media.exceptions import Delivery, MediaError, MediaNotFoundError, MediaResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_media._api.retry import RetryState
    from airflow_provider_media.models import Media, MediaPage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait before going on.

    :param seconds: how long.
    """

    seconds: float


Flow = Generator[ApiRequest | Sleep, ApiResponse, T]


def sleep(seconds: float) -> Flow[None]:
    """Wait, and break off when the task is stopped.

    :param seconds: how long.
    """
    yield Sleep(seconds)


def with_shared_retries(flow: Flow[T], retry_state: RetryState) -> Flow[T]:
    """Let all calls of a flow share the same tries; by default each call has its own."""
    return _changed(flow, lambda call: replace(call, retry_state=retry_state))


def with_time_limit(flow: Flow[T], seconds_remaining: Callable[[], float]) -> Flow[T]:
    """Let no call of a flow be tried again after some time.

    :param seconds_remaining: tells how long that is still, when a call is about to be sent.
    """
    return _changed(flow, lambda call: replace(call, retry_seconds=max(0.0, seconds_remaining())))


def without_retries(flow: Flow[T]) -> Flow[T]:
    """Let no call of a flow be tried again."""
    return _changed(flow, lambda call: replace(call, max_attempts=1))


def with_purpose(flow: Flow[T], purpose: str) -> Flow[T]:
    """Let the errors of a flow say what all of it is for.

    :param purpose: in words that complete "could not ...".
    """
    return _changed(flow, lambda call: replace(call, purpose=purpose))


def _changed(flow: Flow[T], change: Callable[[ApiRequest], ApiRequest]) -> Flow[T]:
    try:
        command = next(flow)
        while True:
            if isinstance(command, ApiRequest):
                command = change(command)
            try:
                reply = yield command
            except MediaError as problem:
                command = flow.throw(problem)
            else:
                command = flow.send(reply)
    except StopIteration as end:
        result: T = end.value
        return result


_REPEATED_PAGES_ALLOWED = 3
_MAX_LISTINGS = 3
_MAX_DIGITS = 100
"""Digits; an id with more is no number, and Python refuses to read thousands."""


class Paginator:
    """Walk the list page by page, until it surely ends.

    A total may count the page, be capped or be wrong. So the list ends with an empty page, or with a page shorter than
    one before it, with which all files that the total counts were seen. In doubt, one page more is read.

    No id is given twice: files that others add meanwhile push some onto the next page. A server that gives the same
    page for ever (it ignores ``page``, say) is noticed.

    :param page_size: items a page, at most 1000.
    :param sort_by: one of the API's sort fields, or None for the server's order.
    :param sort_order: ``asc`` or ``desc``.
    :param is_about: whether a name is in question, so that an invalid entry that bears it must not be skipped.
    :ivar odd: the invalid entries of the last page.
    """

    def __init__(
        self,
        *,
        page_size: int = MAX_PAGE,
        sort_by: str | None = None,
        sort_order: str | None = None,
        is_about: Callable[[str], bool] | None = None,
    ) -> None:
        """Start before the first page."""
        self.invalid_entries: list[InvalidEntry] = []
        self._is_about = is_about
        self._skipped = 0
        self._longest_page = 0
        self._page_size = page_size
        self._sort_by = sort_by
        self._sort_order = sort_order
        self._page = 0
        self._seen: set[str] = set()
        self._repeated = 0
        self._total: int | None = None
        self._first_total: int | None = None
        self._shrank = False
        self._call: ApiRequest | None = self._build()

    @property
    def next_request(self) -> ApiRequest | None:
        """The call for the next page; None at the end of the list."""
        return self._call

    @property
    def requests_done(self) -> int:
        """How many pages were read."""
        return self._page

    @property
    def requests_remaining(self) -> int | None:
        """How many more pages there are, judged by the total and the pages so far; None without a total."""
        if self._total is None or not self._listed:
            return None
        a_page = self._listed / self._page
        return math.ceil(max(0, self._total - self._listed) / a_page)

    @property
    def total(self) -> int | None:
        """How many files there are, as the last page with a total tells; None without one."""
        return self._total

    @property
    def shrank(self) -> bool:
        """Whether the totals so far tell that files were deleted, which moves others past the next page's start."""
        return self._shrank

    @property
    def unlisted(self) -> int:
        """How many of the files that there were at the first page are on none of the pages so far."""
        return max(0, (self._first_total or 0) - self._listed)

    @property
    def _listed(self) -> int:
        return len(self._seen) + self._skipped

    @property
    def may_have_missed(self) -> bool:
        """Whether the totals of the whole list tell that files were deleted meanwhile, and others missed."""
        return self._shrank or (self._total is not None and self._listed < self._total)

    def feed(self, reply: ApiResponse) -> tuple[Media, ...]:
        """Take the answer of :attr:`next_request`; return the files on it that were not seen before.

        :raises MediaResponseError: when the answer makes no sense or the list has no end.
        """
        if self._call is None:
            return ()
        self.invalid_entries = []
        page = parse_page(self._call, reply, self.invalid_entries)
        for entry in self.invalid_entries:
            if self._is_about and entry.name is not None and self._is_about(entry.name):
                raise invalid_entry_error(entry)
        new = tuple({str(media.id): media for media in page.items if str(media.id) not in self._seen}.values())
        self._seen.update(str(media.id) for media in new)
        self._skipped += len(self.invalid_entries)
        self._repeated = 0 if new else self._repeated + 1
        is_end = self._is_last(page, has_new=bool(new))
        if not is_end and self._repeated == _REPEATED_PAGES_ALLOWED and page.items:
            raise MediaResponseError(
                f"Could not {self._call.purpose}: page {page.page} and the pages before it repeat what was already"
                " listed, so the list has no end; the server seems to ignore the page number.",
            )
        if page.total is not None:
            self._shrank = self._shrank or (self._total is not None and page.total < self._total)
            self._total = page.total
            self._first_total = page.total if self._first_total is None else self._first_total
        self._page += 1
        self._longest_page = max(self._longest_page, len(page.items))
        self._call = None if is_end else self._build()
        return new

    def _is_last(self, page: MediaPage, *, has_new: bool) -> bool:
        if not page.items and not self.invalid_entries:
            return True
        # A total of fewer files than were seen is none that ends anything.
        return page.total == self._listed and (not has_new or len(page.items) < self._longest_page)

    def _build(self) -> ApiRequest:
        return build_list(page=self._page, limit=self._page_size, sort_by=self._sort_by, sort_order=self._sort_order)


def list_page(
    *, page: int = 0, limit: int = 10, sort_by: str | None = None, sort_order: str | None = None
) -> Flow[MediaPage]:
    """List one page.

    :raises MediaError: see :func:`build_list`.
    """
    call = build_list(page=page, limit=limit, sort_by=sort_by, sort_order=sort_order)
    return parse_page(call, (yield call))


def next_page(walk: Paginator) -> Flow[tuple[Media, ...]]:
    """Read the next page of a walk; return its new files, none at the end."""
    return walk.feed((yield walk.next_request)) if walk.next_request else ()


def list_all(is_about: Callable[[str], bool] | None = None) -> Flow[list[Media]]:
    """List the whole library, by id, so that what is added meanwhile comes at the end.

    When files are deleted meanwhile, others can be missed; where the totals tell, the list is read again, until it
    shows what it showed before.

    :param is_about: whether a name is in question; see :class:`Paginator`.
    """
    found: list[Media] = []
    for _ in range(_MAX_LISTINGS):
        walk, before = Paginator(sort_by="id", sort_order="asc", is_about=is_about), found
        found = []
        while walk.next_request:
            found += walk.feed((yield walk.next_request))
        if not walk.may_have_missed or [media.id for media in found] == [media.id for media in before]:
            break
    return found


def find_media(name: str) -> Flow[list[Media]]:
    """Find the files of exactly this name, oldest first. The API has no search, so this lists the whole library."""
    library = yield from list_all(name.__eq__)
    return oldest_first([media for media in library if media.name == name])


def get_media(media_id: int | str) -> Flow[Media]:
    """Get one file's metadata. A response about another file says nothing of this one, so the list is read then."""
    call = build_get(media_id)
    reply = yield call
    try:
        return parse_media(call, reply)
    except OtherMediaError:
        for media in (yield from list_all()):
            if str(call.media_id) in media.ids:
                return media
        raise


FIRST_LOOKUP_WAIT_SECONDS = 1.0
MAX_LOOKUP_WAIT_SECONDS = 8.0


def get_settled(media_ids: Iterable[int | str], settle_seconds: float) -> Flow[dict[str, Media]]:
    """Get files that the library should have, by id; one that is not found may be new, and is waited for.

    :param settle_seconds: how long to wait in all; what is not found by then is left out.
    """
    found: dict[str, Media] = {}
    missing = dict.fromkeys(map(str, media_ids))
    left, delay = settle_seconds, FIRST_LOOKUP_WAIT_SECONDS
    while True:
        for media_id in missing:
            try:
                found[media_id] = yield from get_media(media_id)
            except MediaNotFoundError:
                continue
        missing = dict.fromkeys(media_id for media_id in missing if media_id not in found)
        if not missing or left <= 0:
            return found
        delay = min(delay, left)
        yield Sleep(delay)
        left -= delay
        delay = min(delay * 2, MAX_LOOKUP_WAIT_SECONDS)


def delete_media(media_id: int | str) -> Flow[None]:
    """Delete one file. When an earlier attempt's answer was lost, "no such file" means that it did its work."""
    try:
        yield build_delete(media_id)
    except MediaNotFoundError as error:
        if error.delivery is not Delivery.UNKNOWN:
            raise


def id_number(media_id: int | str) -> int | None:
    """Read an id as a number, when it is one; ids that are numbers grow, others have no order."""
    text = str(media_id)
    return int(text) if text.isdecimal() and len(text) < _MAX_DIGITS else None


def oldest_first(found: list[Media]) -> list[Media]:
    """Sort by id where all ids are numbers, else by creation date where all have one, else leave the list's order."""
    numbers = [number for media in found if (number := id_number(media.id)) is not None]
    if len(numbers) == len(found):
        return sorted(found, key=lambda media: int(media.id))
    moments = [media.created_at for media in found if media.created_at]
    if len(moments) == len(found):
        return [media for _, media in sorted(zip(moments, found, strict=True), key=lambda pair: pair[0])]
    return found

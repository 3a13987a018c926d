"""Wait criteria, a lookup of the media that match them, and the event that ends a wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_media._api.flows import Flow, Paginator, Sleep, get_media, oldest_first, without_retries
from airflow_provider_media._api.protocol import invalid_entry_error
from airflow_provider_media._polling.patterns import NameIndex, Pattern, compile_pattern, is_pattern
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaError,
    MediaNotFoundError,
    MediaRateLimitError,
    MediaResponseError,
    TransferAbortedError,
)
from airflow_provider_media.models import Media

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airflow_provider_media._api.protocol import InvalidEntry

Found = dict[str, list[Media]]
"""The files found for each id (as a string), name or pattern."""

_MAX_IDS_WITHOUT_LIST = 2
"""Up to this many ids are fetched without reading the list first."""

_MAX_LISTINGS = 2
"""Maximum number of times a lookup reads the list, if files are deleted in the meantime."""

_MAX_FAILED_IDS = 2
"""A lookup stops fetching ids when this many failed."""

_GLOBAL_ERRORS = (MediaAuthError, MediaRateLimitError, MediaConfigurationError, TransferAbortedError)
"""Errors that are not specific to an id."""

_TESTS_PER_TURN = 25_000
"""Number of pattern tests (about 10 ms) after which a lookup yields to the event loop."""

_SHOWN_IN_LOG = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCriteria:
    """The media that a sensor waits for: ids or names.

    :param ids: ids as strings.
    :param names: names; those with ``*``, ``?`` or ``[...]`` are patterns.
    :param exact: the names to match literally, even if they contain wildcards.
    :param min_matches: the minimum number of files that match a pattern.
    """

    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    exact: frozenset[str] = frozenset()
    min_matches: int = 1
    _compiled: tuple[Pattern, ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep the compiled patterns referenced, so that lookups do not compile them again."""
        object.__setattr__(self, "_compiled", tuple(map(compile_pattern, filter(self.is_pattern, self.names))))

    def is_pattern(self, key: str) -> bool:
        """Return whether several files may match the key."""
        return bool(self.names) and key not in self.exact and is_pattern(key)

    @property
    def keys(self) -> tuple[str, ...]:
        """The ids or names, in the requested order."""
        return self.ids or self.names

    def missing(self, found: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the keys that are not found."""
        return tuple(key for key in self.keys if key not in found)

    def satisfied_by(self, result: LookupResult) -> Found:
        """Return the files for each key that has enough of them."""
        matches = result.ids if self.ids else result.names
        satisfied = {}
        for key in self.keys:
            files = matches.get(key, [])
            if key in self.exact:  # in a shared poll the same string may be another sensor's pattern
                files = [media for media in files if media.name == key]
            if len(files) >= (self.min_matches if self.is_pattern(key) else 1):
                satisfied[key] = files
        return satisfied

    def in_order(self, found: Found) -> list[Media]:
        """Return the files in the requested order: one for each id and plain name (the oldest), all for a pattern."""
        return [media for key in self.keys for media in found[key][: None if self.is_pattern(key) else 1]]

    def progress(self, found: Mapping[str, Any]) -> str:
        """Return the number of found keys, and which are found and missing, for the log and for errors."""
        missing, present = self.missing(found), [key for key in self.keys if key in found]
        return f"{len(present)} of {len(self.keys)} found ({_shorten(present)}), missing: {_shorten(missing)}"


def _shorten(keys: Collection[str]) -> str:
    shown = ", ".join(map(repr, list(keys)[:_SHOWN_IN_LOG]))
    more = len(keys) - _SHOWN_IN_LOG
    return (f"{shown} and {more} more" if more > 0 else shown) or "none"


@dataclass(slots=True)
class LookupResult:
    """The files that a lookup found. Ids and names are separate, because an id may equal a name.

    :param ids: files by id.
    :param names: files by name or pattern.
    :param id_errors: errors by id.
    :param name_errors: errors by name: the list contains an invalid entry of that name.
    """

    ids: Found = field(default_factory=dict)
    names: Found = field(default_factory=dict)
    id_errors: dict[str, MediaError] = field(default_factory=dict)
    name_errors: dict[str, MediaError] = field(default_factory=dict)


def lookup(
    ids: Collection[str], names: Collection[str], *, result: LookupResult, is_shared: bool = False
) -> Flow[None]:
    """Find ids and names, with about as few requests as possible.

    Names require the whole list: one request a page. For ids alone, the list is read until its remaining pages would
    take more requests than fetching the missing ids: at most one request more than the ids or the pages, whichever is
    less. If the list has no totals, it is assumed to be twice as long as the pages read: at most twice that.

    Files can be missed if others are deleted while the list is read. Then the list is read again, except in a shared
    poll: the next poll finds them.

    :param result: receives the files found, also if the lookup fails.
    :param is_shared: several sensors share the lookup. An id that fails does not raise, and has one attempt, so that it
        does not delay the others; if no id gets a response, they have all attempts.
    :raises MediaError: the lookup failed; in a shared poll, for all ids and names.
    """
    missing = list(ids)
    if names or len(missing) > _MAX_IDS_WITHOUT_LIST:
        missing = yield from _read_list(missing, names, result, is_shared=is_shared)
    yield from _fetch_ids(missing, result, is_shared=is_shared)
    if not is_shared and (errors := result.id_errors | result.name_errors):
        raise next(iter(errors.values()))


def _read_list(ids: Iterable[str], names: Collection[str], result: LookupResult, *, is_shared: bool) -> Flow[list[str]]:
    """Search the list; return the ids to fetch, because that takes no more requests than the remaining pages."""
    missing, index = dict.fromkeys(ids), NameIndex(names)
    matches: dict[str, dict[str, Media]] = {}
    for _ in range(1 if is_shared else _MAX_LISTINGS):
        pages = Paginator(sort_by="id", sort_order="asc" if names else "desc")
        while pages.next_request:
            page = pages.feed((yield pages.next_request))
            for entry in pages.invalid_entries:
                _record_invalid(entry, names, missing, result)
            for media in page:
                if str(media.id) in missing:
                    result.ids[str(media.id)] = [media]
                    del missing[str(media.id)]
            yield from _match_names(page, index, matches)
            remaining = pages.requests_done if pages.requests_remaining is None else pages.requests_remaining
            if not names and len(missing) <= remaining:
                return list(missing)
        result.names = {name: oldest_first(list(files.values())) for name, files in matches.items()}
        is_complete = not missing and all(name in matches and not is_pattern(name) for name in names)
        if is_complete or not (pages.shrank or pages.unlisted):
            break
    return []


def _record_invalid(
    entry: InvalidEntry, names: Collection[str], missing: dict[str, None], result: LookupResult
) -> None:
    """Record an invalid entry of the list as the error of its id and its name."""
    if entry.media_id is not None and entry.media_id in missing:
        result.id_errors[entry.media_id] = invalid_entry_error(entry)
        del missing[entry.media_id]
    if entry.name is not None and entry.name in names:
        result.name_errors[entry.name] = invalid_entry_error(entry)


def _match_names(page: Iterable[Media], index: NameIndex, matches: dict[str, dict[str, Media]]) -> Flow[None]:
    """Add the files of a page to their matches, by name and by id."""
    tested = index.tested
    for media in page:
        for name in index.matching(media.name):
            matches.setdefault(name, {})[str(media.id)] = media
        if index.tested - tested >= _TESTS_PER_TURN:
            tested = index.tested
            yield Sleep(0)


def _fetch_ids(ids: Collection[str], result: LookupResult, *, is_shared: bool) -> Flow[None]:
    """Fetch each id; an error of one does not affect the others."""
    if is_shared and len(ids) > 1:
        has_response, errors = yield from _fetch_each(ids, result, retry=False)
        if has_response:
            result.id_errors |= errors
            return
    _, errors = yield from _fetch_each(ids, result, retry=True)
    result.id_errors |= errors


def _fetch_each(ids: Collection[str], result: LookupResult, *, retry: bool) -> Flow[tuple[bool, dict[str, MediaError]]]:
    """Fetch each id, until two failed; without retries, until two got no response.

    :return: whether any id got a response that a retry would not change, and the errors by id.
    """
    errors: dict[str, MediaError] = {}
    failed, has_response = 0, False
    for number, media_id in enumerate(ids):
        flow = get_media(media_id)
        try:
            result.ids[media_id] = [(yield from (flow if retry else without_retries(flow)))]
        except MediaNotFoundError:
            has_response = True
        except MediaError as error:
            if isinstance(error, _GLOBAL_ERRORS) or error.retry_after:
                raise
            has_response = has_response or not error.is_transient
            errors[media_id] = error
            failed += retry or error.status is None
            if failed == _MAX_FAILED_IDS:
                errors |= dict.fromkeys(list(ids)[number:], error)
                break
        else:
            has_response = True
    return has_response, errors


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEvent:
    """The event of a trigger, which ends a wait.

    :param status: ``found``: all files are there; ``deadline``: the deadline has passed; ``failed``: polling failed.
    :param found: the files found.
    :param error: the class name of the error, if polling failed.
    :param message: its message.
    """

    status: Literal["found", "deadline", "failed"]
    found: Found = field(default_factory=dict)
    error: str | None = None
    message: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON-compatible values."""
        return {
            "status": self.status,
            "found": found_to_dicts(self.found),
            "error": self.error,
            "message": self.message,
        }

    @classmethod
    def from_dict(cls, event: Any) -> WaitEvent:
        """Create an instance from :meth:`to_dict` output, of this or an older release.

        :raises MediaResponseError: the event is malformed.
        """
        values = event if isinstance(event, dict) else {}
        status, error, message = values.get("status"), values.get("error"), values.get("message")
        if status not in ("found", "deadline", "failed"):
            raise MediaResponseError(f"Invalid trigger event: unknown status in {event!r}. Clear the task.")
        if not all(value is None or isinstance(value, str) for value in (error, message)):
            raise MediaResponseError(f"Invalid trigger event: no valid error in {event!r}. Clear the task.")
        try:
            found = found_from_dicts(values.get("found") or {})
        except (AttributeError, KeyError, TypeError, ValueError) as cause:
            raise MediaResponseError(f"Invalid trigger event: malformed media ({cause}). Clear the task.") from cause
        return cls(status=status, found=found, error=error, message=message)


def found_to_dicts(found: Found) -> dict[str, list[dict[str, Any]]]:
    """Return the files as JSON-compatible values."""
    return {key: [media.to_dict() for media in files] for key, files in found.items()}


def found_from_dicts(values: Mapping[str, Any]) -> Found:
    """Return the files of :func:`found_to_dicts` output.

    :raises ValueError: an entry has no media or no id. Malformed values also raise KeyError, TypeError or
        AttributeError.
    """
    found = {key: [Media.from_dict(media) for media in files] for key, files in values.items()}
    if not all(files and all(isinstance(media.id, (int, str)) for media in files) for files in found.values()):
        raise ValueError("no media, or no id")
    return found

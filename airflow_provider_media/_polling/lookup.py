"""What it means to wait for media: what is wanted, one look for it in the cheaper way, and the outcome as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_media._api.flows import Flow, Paginator, Sleep, get_media, oldest_first, without_retries
from airflow_provider_media._api.protocol import invalid_entry_error
from airflow_provider_media._polling.patterns import NameIndex, Pattern, compiled, is_pattern
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
"""For each id (as text), name or pattern: the files that are there."""

_SURELY_CHEAP = 2
"""So many ids are asked for one by one without knowing the library's size: reading the list takes as much."""

_LOOKS_BETWEEN_MEASURINGS = 20
"""So many looks may ask for ids one by one before the library's size is measured again."""

_MAX_LISTINGS = 2
"""So often one look reads the list, when files were deleted meanwhile."""

_MAX_CONSECUTIVE_FAILURES = 2
"""With so many ids that fail, no more are asked for."""

_OF_ALL = (MediaAuthError, MediaRateLimitError, MediaConfigurationError, TransferAbortedError)
"""What is wrong whichever id is asked for."""

_TRIED_AT_A_TIME = 25_000
"""After so many patterns that were tried on names, 10 ms, whatever else runs on the loop has its turn."""

_SHOWN_IN_LOG = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCriteria:
    """What one sensor waits for: ids, or else names.

    :param ids: as text.
    :param names: names; those with ``*``, ``?`` or ``[...]`` are patterns.
    :param exact: which of the names are taken literally, whatever they contain.
    :param min_matches: how many files must match a pattern.
    """

    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    exact: frozenset[str] = frozenset()
    min_matches: int = 1
    _compiled: tuple[Pattern, ...] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Have the patterns compiled for as long as somebody waits for them, and not anew for each look."""
        object.__setattr__(self, "_compiled", tuple(map(compiled, filter(self.is_pattern, self.names))))

    def is_pattern(self, key: str) -> bool:
        """Whether several files may match it."""
        return bool(self.names) and key not in self.exact and is_pattern(key)

    @property
    def keys(self) -> tuple[str, ...]:
        """All that is wanted, in the order asked."""
        return self.ids or self.names

    def missing(self, found: Mapping[str, Any]) -> tuple[str, ...]:
        """Tell what is not among the found."""
        return tuple(key for key in self.keys if key not in found)

    def satisfied_by(self, seen: LookupResult) -> Found:
        """Pick what is there, and in sufficient number."""
        there = seen.ids if self.ids else seen.names
        picked = {}
        for key in self.keys:
            found = there.get(key, [])
            if key in self.exact:  # another sensor that shares the poll may mean the same text as a pattern
                found = [media for media in found if media.name == key]
            if len(found) >= (self.min_matches if self.is_pattern(key) else 1):
                picked[key] = found
        return picked

    def in_order(self, found: Found) -> list[Media]:
        """Give the files in the order asked: one for each id and plain name (the oldest), all for a pattern."""
        return [media for key in self.keys for media in found[key][: None if self.is_pattern(key) else 1]]

    def progress(self, found: Mapping[str, Any]) -> str:
        """Say how far it is, for the log and for errors."""
        missing, there = self.missing(found), [key for key in self.keys if key in found]
        return f"{len(there)} of {len(self.keys)} there ({_some(there)}), missing: {_some(missing)}"


def _some(keys: Collection[str]) -> str:
    shown = ", ".join(map(repr, list(keys)[:_SHOWN_IN_LOG]))
    more = len(keys) - _SHOWN_IN_LOG
    return (f"{shown} and {more} more" if more > 0 else shown) or "none"


@dataclass(slots=True)
class LookupResult:
    """What a look saw. An id is not to be taken for the same text as a name.

    :param ids: by id.
    :param names: by name or pattern.
    :param failures: why ids could not be asked for, by id.
    :param name_failures: why names could not be judged, by name: the list's entry of that name is invalid.
    """

    ids: Found = field(default_factory=dict)
    names: Found = field(default_factory=dict)
    failures: dict[str, MediaError] = field(default_factory=dict)
    name_failures: dict[str, MediaError] = field(default_factory=dict)


@dataclass(slots=True)
class LibrarySize:
    """What earlier looks told of the library's size; it decides which way of asking is the cheaper.

    :param requests: how many requests reading the whole list takes, or at least takes, when that is known.
    :param looks_ago: how many looks have asked for ids one by one since then.
    :param unlisted: how many files the server counts but never lists.
    """

    requests: int | None = None
    looks_ago: int = 0
    unlisted: int = 0

    def makes_asking_cheaper(self, ids: int) -> bool:
        """Whether asking for so many ids one by one takes no more requests than reading the list."""
        if self.requests is None:
            return ids <= _SURELY_CHEAP
        is_old = self.looks_ago >= _LOOKS_BETWEEN_MEASURINGS and ids > _SURELY_CHEAP
        return ids <= self.requests and not is_old

    def measure(self, walk: Paginator) -> None:
        """Take note of a walk; without a total, one that stopped half-way tells no more than the least."""
        left = (walk.requests_remaining or 1) if walk.next_request else 0
        self.requests, self.looks_ago = walk.requests_done + left, 0


def look(
    ids: Collection[str], names: Collection[str], *, size: LibrarySize, seen: LookupResult, make_sure: bool = True
) -> Flow[None]:
    """Look once for ids and names, in the way that takes fewer requests.

    That is one request for each id, or the list: its pages, and where the server tells no totals an empty one. Without
    ``make_sure`` no look takes more; with it, two things cost extra:

    - When files were deleted while the list was read, others may have slipped past, as far as the totals tell. What is
      still missing is then asked for one by one, where that takes no more requests, or the list is read once more.
    - The first look does not know the library's size, and every 20th that asks one by one measures it again: one
      request where the server tells totals, else it reads as many pages as there are ids. The same when, without
      totals, there are more ids than ever pages were read. Without ``make_sure`` these requests go off those for the
      ids, so that some older ids are not asked for in that look (one with totals).

    :param size: what is known of the library's size; updated.
    :param seen: gets what is there; ids even when the look fails half-way.
    :param make_sure: whether to; without it, the next look finds what slipped past this one. An id that fails is then
        the matter of those who wait for it, and not tried again while others have answers.
    :raises MediaError: the look failed; without ``make_sure``, for all, whatever they wait for.
    """
    if not names and size.makes_asking_cheaper(len(ids)):
        size.looks_ago += 1
        yield from _ask_for(ids, seen, make_sure=make_sure)
    else:
        yield from _read_list(ids, names, size=size, seen=seen, make_sure=make_sure)
    if make_sure and (failures := seen.failures | seen.name_failures):
        raise next(iter(failures.values()))


def _read_list(
    ids: Collection[str], names: Collection[str], *, size: LibrarySize, seen: LookupResult, make_sure: bool
) -> Flow[None]:
    index, missing = NameIndex(names), dict.fromkeys(ids)
    matches: dict[str, dict[str, Media]] = {}
    walks = _MAX_LISTINGS if make_sure else 1
    for walk_number in range(1, walks + 1):
        walk = Paginator(sort_by="id", sort_order="asc" if names else "desc")
        oldest: Media | None = None
        while walk.next_request:
            page = walk.feed((yield walk.next_request))
            for entry in walk.invalid_entries:
                _note_invalid(entry, names, missing, seen)
            oldest = page[-1] if page else oldest
            for media in page:
                if str(media.id) in missing:
                    seen.ids[str(media.id)] = [media]
                    del missing[str(media.id)]
            yield from _match_names(page, index, matches)
            if not names and _asking_is_cheaper(len(ids), len(missing), walk=walk, make_sure=make_sure):
                break
        size.measure(walk)
        seen.names = {name: oldest_first(list(found.values())) for name, found in matches.items()}
        if not walk.next_request:
            is_sure = not walk.shrank and walk.unlisted <= size.unlisted
            if is_sure or walk_number == walks:
                size.unlisted = walk.unlisted  # what two walks do not show, the server does not list
                return
        # Whether enough files match a pattern is not known here.
        if len(missing) <= (size.requests or 0) and all(name in matches and not is_pattern(name) for name in names):
            most = None if make_sure else len(ids) - walk.requests_done
            yield from _ask_for(_unread_first(missing, oldest)[:most], seen, make_sure=make_sure)
            return


def _note_invalid(entry: InvalidEntry, names: Collection[str], missing: dict[str, None], seen: LookupResult) -> None:
    """Let those fail who wait for an entry of the list that is invalid."""
    if entry.media_id is not None and entry.media_id in missing:
        seen.failures[entry.media_id] = invalid_entry_error(entry)
        del missing[entry.media_id]
    if entry.name is not None and entry.name in names:
        seen.name_failures[entry.name] = invalid_entry_error(entry)


def _match_names(page: Iterable[Media], index: NameIndex, matches: dict[str, dict[str, Media]]) -> Flow[None]:
    """Add the files of a page to what they match, by name and by id."""
    tried = index.tried
    for media in page:
        for name in index.matching(media.name):
            matches.setdefault(name, {})[str(media.id)] = media
        if index.tried - tried >= _TRIED_AT_A_TIME:
            tried = index.tried
            yield Sleep(0)


def _asking_is_cheaper(ids: int, missing: int, *, walk: Paginator, make_sure: bool) -> bool:
    """Whether asking for the ids that are left takes fewer requests than reading on."""
    if left := walk.requests_remaining:
        return missing < left or (not make_sure and walk.requests_done + left > ids)
    # Without a total just one page more is certain. Whoever may take more requests goes by the pages read so far.
    if make_sure:
        return missing < walk.requests_done
    return missing <= 1 or walk.requests_done + 1 >= ids


def _unread_first(ids: Iterable[str], oldest: Media | None) -> list[str]:
    """Put the ids last that are newer than the oldest on the pages read: they were on those if they were there."""
    if oldest is None or not str(oldest.id).isdecimal():
        return list(ids)
    return sorted(ids, key=lambda media_id: media_id.isdecimal() and int(media_id) > int(oldest.id))


def _ask_for(ids: Collection[str], seen: LookupResult, *, make_sure: bool) -> Flow[None]:
    """Ask for each id; one that fails does not keep the answers of the others back.

    The poll of many tries none again, unless none has an answer: then it is no matter of single ids.
    """
    if not make_sure and len(ids) > 1 and (yield from _ask_each(ids, seen, once=True)):
        return
    seen.failures.clear()
    yield from _ask_each(ids, seen, once=False)


def _ask_each(ids: Collection[str], seen: LookupResult, *, once: bool) -> Flow[bool]:
    """Ask for each id until two fail; with ``once``, until two are met with silence.

    :return: whether any has an answer that would not be another a little later.
    """
    troubles, answered = 0, False
    for number, media_id in enumerate(ids):
        asking = get_media(media_id)
        try:
            seen.ids[media_id] = [(yield from (without_retries(asking) if once else asking))]
        except MediaError as problem:
            answered = answered or not problem.is_transient
            if isinstance(problem, MediaNotFoundError):
                continue
            if isinstance(problem, _OF_ALL) or problem.retry_after:
                raise
            seen.failures[media_id] = problem
            troubles += not once or problem.status is None
            if troubles == _MAX_CONSECUTIVE_FAILURES:
                seen.failures.update(dict.fromkeys(list(ids)[number:], problem))
                break
        else:
            answered = True
    return answered


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEvent:
    """How a wait ended, on its way from a trigger to its sensor.

    :param status: ``found``: all is there; ``deadline``: the time is over; ``failed``: asking failed.
    :param found: what is there.
    :param error: the name of the public error class, when it failed.
    :param message: its sentence.
    """

    status: Literal["found", "deadline", "failed"]
    found: Found = field(default_factory=dict)
    error: str | None = None
    message: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "status": self.status,
            "found": found_to_dicts(self.found),
            "error": self.error,
            "message": self.message,
        }

    @classmethod
    def from_dict(cls, event: Any) -> WaitEvent:
        """Check and read what :meth:`to_dict` returned, now or in an older release.

        :raises MediaResponseError: when it is something else.
        """
        values = event if isinstance(event, dict) else {}
        status, error, message = values.get("status"), values.get("error"), values.get("message")
        if status not in ("found", "deadline", "failed"):
            raise MediaResponseError(f"The trigger's event {event!r} has no known status; clear the task.")
        if not all(text is None or isinstance(text, str) for text in (error, message)):
            raise MediaResponseError(f"The trigger's event {event!r} tells no error in words; clear the task.")
        try:
            found = found_from_dicts(values.get("found") or {})
        except (AttributeError, KeyError, TypeError, ValueError) as wrong:
            raise MediaResponseError(
                f"The trigger's event holds no media that can be read ({wrong}); clear the task."
            ) from wrong
        return cls(status=status, found=found, error=error, message=message)


def found_to_dicts(found: Found) -> dict[str, list[dict[str, Any]]]:
    """Return what was found as JSON-able values."""
    return {key: [media.to_dict() for media in several] for key, several in found.items()}


def found_from_dicts(values: Mapping[str, Any]) -> Found:
    """Make what was found again of what :func:`found_to_dicts` returned.

    :raises ValueError: (and what reading other things as such a dict raises) it is something else.
    """
    found = {key: [Media.from_dict(media) for media in several] for key, several in values.items()}
    if not all(several and all(isinstance(media.id, (int, str)) for media in several) for several in found.values()):
        raise ValueError("no media, or no id")
    return found

"""What a sensor waits for: names and patterns, what was found so far, and the event that ends a wait on a triggerer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import translate
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from airflow_provider_media._api.flows import folder_matches, type_matches
from airflow_provider_media.exceptions import MediaError, MediaResponseError
from airflow_provider_media.models import Media

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

_WILDCARDS = re.compile(r"[*?\[]")


def is_pattern(name: str) -> bool:
    """Return whether a name has wildcards."""
    return bool(_WILDCARDS.search(name))


@lru_cache(10_000)
def _compile(name: str) -> tuple[str, str, Callable[[str], object]]:
    """Return the fixed strings before a pattern's first and after its last wildcard, and the test of a file's name."""
    start = _WILDCARDS.split(name, maxsplit=1)[0]
    end = re.split(r"[*?\]]", name)[-1]  # without "[", because it could start a character set
    return start, "" if "[" in end else end, re.compile(translate(name)).match


class NameIndex:
    """Finds the names and patterns that a file's name matches; patterns are grouped by their fixed ends.

    :ivar tested: the number of patterns tested so far.
    """

    def __init__(self, names: Collection[str]) -> None:
        self.tested = 0
        self._names = frozenset(names)
        self._patterns: dict[tuple[int, int], dict[tuple[str, str], list[str]]] = {}
        for pattern in filter(is_pattern, self._names):
            start, end, _ = _compile(pattern)
            self._patterns.setdefault((len(start), len(end)), {}).setdefault((start, end), []).append(pattern)

    def matching(self, name: str | None) -> Iterator[str]:
        """Yield the names and patterns that a file's name matches; a pattern also matches its own string."""
        if name is None:
            return
        if name in self._names:
            yield name
        for (start, end), patterns in self._patterns.items():
            candidates = patterns.get((name[:start], name[len(name) - end :]), ())
            self.tested += len(candidates)
            for pattern in candidates:
                if pattern != name and _compile(pattern)[2](name):
                    yield pattern


Found = dict[str, list[Media]]
"""The files found for each id (as a string), name or pattern."""

_SHOWN_IN_LOG = 20


@dataclass(slots=True)
class LookupResult:
    """The files that a lookup found. Ids and names are separate, because an id may equal a name.

    :param is_whole: whether the whole list was searched for names.
    """

    ids: Found = field(default_factory=dict)
    names: Found = field(default_factory=dict)
    id_errors: dict[str, MediaError] = field(default_factory=dict)
    name_errors: dict[str, MediaError] = field(default_factory=dict)
    is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCriteria:
    """The media that a sensor waits for: ids or names."""

    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    exact: frozenset[str] = frozenset()
    min_matches: int = 1
    folder_id: str | None = None
    mime_type: str | None = None
    stored_after: datetime | None = None
    pick: str = "oldest"

    def is_pattern(self, key: str) -> bool:
        """Return whether several files may match the key."""
        return bool(self.names) and key not in self.exact and is_pattern(key)

    @property
    def keys(self) -> tuple[str, ...]:
        """The ids or names, in the requested order."""
        return self.ids or self.names

    @property
    def needs(self) -> frozenset[str]:
        """The fields of media that decide whether a file is accepted, and that a list may lack."""
        needed = {"folder_id": self.folder_id, "mime_type": self.mime_type, "created_at": self.stored_after}
        return frozenset(name for name, value in needed.items() if value is not None)

    def satisfied_by(self, result: LookupResult) -> Found:
        """Return the files for each key that has enough of them: one for an id or a plain name."""
        matches = result.ids if self.ids else result.names
        satisfied = {}
        for key in self.keys:
            files = self._accepted(key, matches.get(key, []))
            if len(files) >= self._needed(key):
                satisfied[key] = files if self.is_pattern(key) else [self._picked(files)]
        return satisfied

    def counts(self, result: LookupResult) -> dict[str, int]:
        """Return the number of files for each pattern of which several are needed."""
        return {key: len(self._accepted(key, result.names.get(key, []))) for key in self.names if self._needed(key) > 1}

    def _needed(self, key: str) -> int:
        return self.min_matches if self.is_pattern(key) else 1

    def _accepted(self, key: str, files: Iterable[Media]) -> list[Media]:
        after = self.stored_after
        return [
            media
            for media in files
            # In a shared poll the same string may be another sensor's pattern.
            if (key not in self.exact or media.name == key)
            and (after is None or (media.created_at is not None and media.created_at >= after))
            and folder_matches(media, self.folder_id)
            and type_matches(media, self.mime_type)
        ]

    def _picked(self, files: list[Media]) -> Media:
        if all(media.created_at for media in files):
            files = sorted(files, key=attrgetter("created_at"))
        return files[-1 if self.pick == "newest" else 0]

    def in_order(self, found: Found) -> list[Media]:
        """Return the files in the requested order: one for each id and plain name, all for a pattern."""
        return [media for key in self.keys for media in found[key][: None if self.is_pattern(key) else 1]]


@dataclass(kw_only=True, eq=False)
class Progress:
    """What a wait has found so far.

    :param counts: the number of files of each pattern of which several are needed.
    :param found_before: the number of ids or names that are found and not among the criteria.
    """

    criteria: WaitCriteria
    found: Found = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    found_before: int = 0

    @property
    def missing(self) -> tuple[str, ...]:
        """The ids or names that are not found."""
        return tuple(key for key in self.criteria.keys if key not in self.found)

    @property
    def progress(self) -> str:
        """The number of found ids or names, and which are found and missing, for the log and for errors."""
        present = [repr(key) for key in self.criteria.keys if key in self.found]
        number, total = len(present) + self.found_before, len(self.criteria.keys) + self.found_before
        present += [f"{self.found_before} before"] * bool(self.found_before)
        missing = f", missing: {self.list_missing()}" if self.missing else ""
        return f"{number} of {total} found ({_shorten(present)}){missing}"

    def list_missing(self) -> str:
        """Return the ids or names that are not found, for messages."""
        return _shorten(
            f"{key!r}: {self.counts[key]} of {self.criteria.min_matches} files" if key in self.counts else repr(key)
            for key in self.missing
        )


def _shorten(shown_keys: Iterable[str]) -> str:
    keys = list(shown_keys)
    shown = ", ".join(keys[:_SHOWN_IN_LOG])
    more = len(keys) - _SHOWN_IN_LOG
    return (f"{shown} and {more} more" if more > 0 else shown) or "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEvent:
    """The event of a trigger, which ends a wait.

    :param status: ``found``: all files are there; ``warning``: the deadline is near; ``deadline``: it has passed;
        ``failed``: polling failed.
    """

    status: Literal["found", "warning", "deadline", "failed"]
    found: Found = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    message: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON-compatible values."""
        return {
            "status": self.status,
            "found": found_to_dicts(self.found),
            **({"counts": self.counts} if self.counts else {}),
            "error": self.error,
            "message": self.message,
        }

    @classmethod
    def from_dict(cls, event: Any) -> WaitEvent:
        """Create an instance from :meth:`to_dict` output, of this or an older release.

        :raises MediaResponseError: the event is malformed.
        """
        values = event if isinstance(event, dict) else {}
        status, error, message = (values.get(name) for name in ("status", "error", "message"))
        is_valid = all(value is None or isinstance(value, str) for value in (error, message))
        if status not in ("found", "warning", "deadline", "failed") or not is_valid:
            raise MediaResponseError(f"Invalid trigger event: status {status!r}, error {error!r}. Clear the task.")
        try:
            found = found_from_dicts(values.get("found") or {})
            counts = {str(key): int(count) for key, count in (values.get("counts") or {}).items()}
        except (AttributeError, KeyError, TypeError, ValueError) as cause:
            raise MediaResponseError(f"Invalid trigger event: malformed media ({cause}). Clear the task.") from cause
        return cls(status=status, found=found, counts=counts, error=error, message=message)


def found_to_dicts(found: Found) -> dict[str, list[dict[str, Any]]]:
    """Return the files as JSON-compatible values."""
    return {key: [media.to_dict() for media in files] for key, files in found.items()}


def found_from_dicts(values: Mapping[str, Any]) -> Found:
    """Return the files of :func:`found_to_dicts` output; raise ValueError, or another error of malformed values."""
    found = {key: [Media.from_dict(media) for media in files] for key, files in values.items()}
    if not all(files and all(isinstance(media.id, (int, str)) for media in files) for files in found.values()):
        raise ValueError("no media, or no id")
    return found


@dataclass(kw_only=True)
class WaitCheckpoint:
    """The state of a wait that later processes of the task need."""

    KIND: ClassVar[str] = "media_wait"
    GROWING: ClassVar[str] = ""
    outlives_clearing: ClassVar[bool] = False  # the wait starts over when the task is cleared

    started: datetime
    library: str | None = None
    found: Found = field(default_factory=dict)
    failures: int = 0
    warned: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON-compatible values."""
        return {
            "started": self.started.isoformat(),
            "library": self.library,
            "found": found_to_dicts(self.found),
            "failures": self.failures,
            "warned": self.warned,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Create an instance from :meth:`to_dict` output."""
        started, library, failures = datetime.fromisoformat(values["started"]), values["library"], values["failures"]
        if started.tzinfo is None or type(failures) is not int or not isinstance(library, (str, type(None))):
            raise ValueError("the state of a wait needs an aware start, a library and a number of failures")
        found = found_from_dicts(values["found"])
        warned = values.get("warned") is True
        return cls(started=started.astimezone(UTC), library=library, found=found, failures=failures, warned=warned)

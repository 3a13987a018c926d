"""What still uses a file, known without asking the campaign system: lists that the campaigns' own tasks keep.

The Media API cannot tell which campaigns and templates refer to a file (its reference says so under *delete*). So
whoever deletes must know by other means, and a list that is missing, empty, broken or too old is no knowledge at all:
with any of these, nothing is deleted.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.secret import redact_url
from airflow_provider_media.exceptions import MediaConfigurationError, MediaInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_media.models import Media

_CLOCKS_MAY_DIFFER = timedelta(minutes=5)

_NUMBER = re.compile(r"[+\-]?[\d.,_\s]*\d[\d.,_\s]*")
_CANONICAL_NUMBER = re.compile(r"0|[1-9][0-9]*")
_NOT_IN_IDS = re.compile(r"[\s\"'`,;()\[\]{}<>#?*%&=|\\]")
"""Letters of a text that holds several ids, of the text of a list or an object, of a query or of a sheet's error."""

_NO_VALUES = frozenset({"null", "nan", "undefined", "none", "true", "false", "nil", "n/a"})


class ListedReferences:
    """Tell what uses a file from lists in Airflow Variables or in files; for ``references=`` of the operators.

    A list is a JSON object: ``{"updated_at": "2026-07-01T08:00:00+00:00", "media": {"17": ["summer campaign"]}}``, or
    with the ids alone, ``"media": [17, 18]``. :meth:`write` keeps it. All lists are read anew for each deletion.

    One list has one writer. Where several tasks know of users, each keeps a list of its own, and whoever deletes is
    given them all; each must be there.

    :param variable: the key of the Airflow Variable that holds the list, or a list of keys.
    :param path: or the file that holds it: a path, or an object store's URI; or a list of them.
    :param max_age: how old each list may be, as a ``timedelta``; older, it is not believed.
    :raises MediaConfigurationError: not exactly one of ``variable`` and ``path`` is given.
    """

    def __init__(
        self, *, variable: str | list[str] | None = None, path: Any = None, max_age: timedelta = timedelta(days=1)
    ) -> None:
        """Keep where the lists are; nothing is read yet."""
        variables, paths = _as_tuple(variable), _as_tuple(path)
        if bool(variables) == bool(paths) or not all((*variables, *paths)):
            raise MediaConfigurationError("Give ListedReferences either variable or path: where the list is.")
        if not isinstance(max_age, timedelta) or max_age <= timedelta(0):
            raise MediaConfigurationError(f"max_age must be a timedelta above 0, not {max_age!r}.")
        self._places = [_Place(variable=key) for key in variables] + [_Place(path=one) for one in paths]
        self._max_age = max_age

    def __call__(self, media: Media) -> list[str]:
        """Tell who uses a file.

        :raises MediaInUseError: a list cannot be believed.
        """
        return self.snapshot()(media)

    def snapshot(self) -> Callable[[Media], list[str]]:
        """Read the lists once, for all questions of one deletion.

        :raises MediaInUseError: a list cannot be believed.
        """
        users: dict[str, list[str]] = {}
        for place in self._places:
            for media_id, names in place.read(self._max_age).items():
                users.setdefault(media_id, []).extend(names)
        return lambda media: list(dict.fromkeys(name for media_id in media.ids for name in users.get(media_id, ())))

    def write(self, users: Mapping[int, Iterable[str]] | Mapping[str, Iterable[str]] | Iterable[int | str]) -> None:
        """Replace the list, whole; a reader sees the old one or the new one.

        :param users: by media id, the names of what uses it, or the ids alone; at least one.
        :raises MediaConfigurationError: it is empty, or holds what is no id: neither is ever believed. Or there are
            several lists.
        """
        if len(self._places) > 1:
            raise MediaConfigurationError(f"{self!r} is read only: write each list by a ListedReferences of its own.")
        listed = _users_by_id(users if isinstance(users, Mapping) else list(users))
        if not listed:
            raise MediaConfigurationError("An empty list of references is never believed, so it is not written.")
        document = {"updated_at": datetime.now(UTC).isoformat(), "media": listed}
        self._places[0].write(json.dumps(document, ensure_ascii=False, indent=1))

    def __repr__(self) -> str:
        """Name the lists."""
        return f"ListedReferences({', '.join(map(str, self._places))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a list is: in a Variable or in a file."""

    variable: str | None = None
    path: Any = None

    def __str__(self) -> str:
        return f"the Variable {self.variable!r}" if self.variable else f"the file {redact_url(str(self.path))}"

    def read(self, max_age: timedelta) -> dict[str, list[str]]:
        """Return the users by id.

        :raises MediaInUseError: the list cannot be believed.
        """
        text = self._read_text()
        try:
            listed = json.loads(text, object_pairs_hook=_each_once)
            updated_at, users = datetime.fromisoformat(listed["updated_at"]), _users_by_id(listed["media"])
        except Exception as error:  # whatever is wrong with it, it is not known what is used
            raise self._unbelievable("cannot be understood", str(error) or type(error).__name__) from error
        if not users:
            raise self._unbelievable("is empty")
        if updated_at.utcoffset() is None:
            raise self._unbelievable("has a time without a time zone")
        age = datetime.now(UTC) - updated_at
        if age > max_age:
            raise self._unbelievable(f"is {age} old, more than {max_age}")
        if age < -_CLOCKS_MAY_DIFFER:
            raise self._unbelievable("comes from the future")
        # Listed, it is used, even where nobody is named.
        return {media_id: names or [f"what {self} lists it for"] for media_id, names in users.items()}

    def _read_text(self) -> str:
        text: str | None
        try:
            if self.variable:
                from airflow.providers.common.compat.sdk import Variable

                text = Variable.get(self.variable)
            else:
                from airflow_provider_media._airflow.paths import read_text
                from airflow_provider_media.hooks._base import as_path

                text = read_text(as_path(self.path))
        except Exception as error:  # the same
            raise self._unbelievable("cannot be read", str(error).partition("\n")[0]) from error
        if not (text or "").strip():
            raise self._unbelievable("is empty")
        return str(text)

    def write(self, text: str) -> None:
        """Replace the list."""
        if self.variable:
            from airflow.providers.common.compat.sdk import Variable

            Variable.set(self.variable, text)
        else:
            from airflow_provider_media._airflow.paths import write_text
            from airflow_provider_media.hooks._base import as_path

            write_text(as_path(self.path), text)

    def _unbelievable(self, reason: str, detail: str = "") -> MediaInUseError:
        return MediaInUseError(
            f"It is not known what is still used, because {self} {reason}{f' ({detail})' if detail else ''}:"
            " write it anew (ListedReferences.write), then clear this task. Nothing was deleted."
        )


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its keys and values; JSON would let the last of several values hide the others.

    :raises ValueError: a key is there twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _users_by_id(listed: Any) -> dict[str, list[str]]:
    """Read ids with their users, or a list of ids.

    :raises MediaError: something is not an id: a list that holds "None" lacks the id that should be there. So does one
        that holds an id in another form than the library's ("01", "1.0"): it would not protect the file that is meant.
    :raises TypeError: it is neither.
    """
    from airflow_provider_media._api.protocol import normalize_media_id

    if not isinstance(listed, (dict, list, Mapping)):
        raise TypeError("media must be an object or a list")
    pairs = listed.items() if isinstance(listed, Mapping) else ((media_id, ()) for media_id in listed)
    users: dict[str, list[str]] = {}
    for media_id, names in pairs:
        several = [names] if isinstance(names, str) else names
        users.setdefault(_canonical(normalize_media_id(media_id)), []).extend(str(name) for name in several)
    return users


def _canonical(media_id: int | str) -> str:
    """Return an id as a string, in the form that the library's ids have.

    :raises MediaError: no file can have it as its id.
    """
    text = str(media_id)
    as_number = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-")
    is_odd_number = _NUMBER.fullmatch(as_number) and not _CANONICAL_NUMBER.fullmatch(text)
    is_no_value = text.lower() in _NO_VALUES or not any(map(str.isalnum, text))
    if is_odd_number or is_no_value or not text.isprintable() or _NOT_IN_IDS.search(text):
        raise MediaConfigurationError(
            f"{media_id!r} is not a media id as the library writes it, such as 17 or 'med_7f3a'."
        )
    return text


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)

"""Lists of files in use, maintained by the campaigns' own tasks.

The Media API does not return which campaigns and templates use a file (see its reference under *delete*), so that a
deletion needs another source. A list that is missing, empty, invalid or too old prevents every deletion.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.values import normalize_media_id, redact_url, redact_urls, safe_cause
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_media.models import Media

_MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)

_NUMBER = re.compile(r"[+\-]?[\d.,_\s]*\d[\d.,_\s]*")
_CANONICAL_NUMBER = re.compile(r"0|[1-9][0-9]*")
_NOT_IN_IDS = re.compile(r"[\s\"'`,;()\[\]{}<>#?*%&=|\\]")
"""Characters of strings that are not a single id: several ids, JSON, a query, or a spreadsheet error."""

_NO_VALUES = frozenset({"null", "nan", "undefined", "none", "true", "false", "nil", "n/a"})


class ListedReferences:
    """Find references in lists stored in Airflow Variables or files; for ``references=`` of the operators.

    A list is a JSON object: ``{"updated_at": "2026-07-01T08:00:00+00:00", "media": {"17": ["summer campaign"]}}``, or
    with ids only, ``"media": [17, 18]``. :meth:`write` writes it. Each deletion reads all lists once.

    Each list has one writer. If several tasks use files, each writes its own list, and the deletion gets all of them;
    all must exist.

    :param variable: the key of the Airflow Variable that contains the list, or a list of keys.
    :param path: the file that contains the list, as a path or an object storage URI, or a list of them.
    :param max_age: maximum age of each list, as a ``timedelta``; an older list is rejected.
    :raises MediaConfigurationError: not exactly one of ``variable`` and ``path`` is given.
    """

    def __init__(
        self, *, variable: str | list[str] | None = None, path: Any = None, max_age: timedelta = timedelta(days=1)
    ) -> None:
        """Store the locations of the lists; they are read later."""
        variables, paths = _as_tuple(variable), _as_tuple(path)
        if bool(variables) == bool(paths) or not all((*variables, *paths)):
            raise MediaConfigurationError("ListedReferences requires either variable or path.")
        if not isinstance(max_age, timedelta) or max_age <= timedelta(0):
            raise MediaConfigurationError(f"max_age must be a timedelta above 0, not {max_age!r}.")
        self._are_variables = bool(variables)
        self._lists = variables or paths
        self._max_age = max_age

    def __call__(self, media: Media) -> list[str]:
        """Return the names of what uses a file.

        :raises MediaInUseError: a list is invalid.
        """
        return self.snapshot()(media)

    def snapshot(self) -> Callable[[Media], list[str]]:
        """Read the lists once, and return a function that finds references in them.

        :raises MediaInUseError: a list is invalid.
        """
        users: dict[str, list[str]] = {}
        for one in self._lists:
            for media_id, names in self._read(one).items():
                users.setdefault(media_id, []).extend(names)
        return lambda media: list(dict.fromkeys(name for media_id in media.ids for name in users.get(media_id, ())))

    def write(self, users: Mapping[int, Iterable[str]] | Mapping[str, Iterable[str]] | Iterable[int | str]) -> None:
        """Replace the list atomically.

        :param users: the names of what uses each file, by media id, or only the ids; at least one.
        :raises MediaConfigurationError: ``users`` is empty or contains an invalid id, or there are several lists.
        :raises MediaError: the list cannot be written.
        """
        if len(self._lists) > 1:
            raise MediaConfigurationError(f"{self!r} is read-only: write each list with its own ListedReferences.")
        listed = _users_by_id(users if isinstance(users, Mapping) else list(users))
        if not listed:
            raise MediaConfigurationError(
                "The list of references is empty. A deletion would reject it; nothing was written."
            )
        document = {"updated_at": datetime.now(UTC).isoformat(), "media": listed}
        text, [one] = json.dumps(document, ensure_ascii=False, indent=1), self._lists
        try:
            if self._are_variables:
                from airflow.providers.common.compat.sdk import Variable

                Variable.set(one, text)
            else:
                from airflow_provider_media._airflow.files import write_text
                from airflow_provider_media.hooks._base import as_path

                write_text(as_path(one), text)
        except Exception as error:  # noqa: BLE001 - of any file system or database
            reason = redact_urls(str(error).partition("\n")[0]) or type(error).__name__
            shown = self._show(one)
            raise MediaError(f"Could not write the list of references to {shown}: {reason}.") from safe_cause(error)

    def __repr__(self) -> str:
        """Return the locations of the lists."""
        return f"ListedReferences({', '.join(map(self._show, self._lists))})"

    def _show(self, one: Any) -> str:
        return f"the Variable {one!r}" if self._are_variables else f"the file {redact_url(str(one))}"

    def _read(self, one: Any) -> dict[str, list[str]]:
        """Return the names in a list, by media id; any error means that the references are unknown."""

        def error_of(reason: str, detail: str = "") -> MediaInUseError:
            return MediaInUseError(
                f"Could not determine which files are in use: {self._show(one)} {reason}"
                f"{f' ({detail})' if detail else ''}. Write the list again (ListedReferences.write), then clear this"
                " task. Nothing was deleted."
            )

        try:
            text = self._read_text(one)
        except Exception as error:
            cause = getattr(error, "strerror", None) or str(error).partition("\n")[0]  # strerror: without the path
            raise error_of("cannot be read", cause) from error
        if not text.strip():
            raise error_of("is empty")
        try:
            listed = json.loads(text, object_pairs_hook=_reject_duplicate_keys)
            updated_at, users = datetime.fromisoformat(listed["updated_at"]), _users_by_id(listed["media"])
        except Exception as error:
            raise error_of("is invalid", str(error) or type(error).__name__) from error
        if not users:
            raise error_of("is empty")
        if updated_at.utcoffset() is None:
            raise error_of("has an updated_at without a time zone")
        age = datetime.now(UTC) - updated_at
        if age > self._max_age:
            raise error_of(f"is {timedelta(seconds=int(age.total_seconds()))} old, more than {self._max_age}")
        if age < -_MAX_CLOCK_DIFFERENCE:
            raise error_of("has an updated_at in the future")
        # A listed file is in use, even without names.
        return {media_id: names or [f"an entry in {self._show(one)}"] for media_id, names in users.items()}

    def _read_text(self, one: Any) -> str:
        if self._are_variables:
            from airflow.providers.common.compat.sdk import Variable

            return str(Variable.get(one) or "")
        from airflow_provider_media._airflow.files import read_text
        from airflow_provider_media.hooks._base import as_path

        return read_text(as_path(one))


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict; the JSON parser alone would ignore all but the last value of a key."""
    found = dict(pairs)
    if len(found) != len(pairs):
        [(duplicate, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {duplicate!r}")
    return found


def _users_by_id(listed: Any) -> dict[str, list[str]]:
    """Parse an object of ids and names, or a list of ids; raise for one that cannot protect a file."""
    if not isinstance(listed, (dict, list, Mapping)):
        raise TypeError("media must be an object or a list")
    pairs = listed.items() if isinstance(listed, Mapping) else ((media_id, ()) for media_id in listed)
    users: dict[str, list[str]] = {}
    for media_id, names in pairs:
        several = [names] if isinstance(names, str) else names
        users.setdefault(_canonical(normalize_media_id(media_id)), []).extend(str(name) for name in several)
    return users


def _canonical(media_id: int | str) -> str:
    """Return an id as a string; raise if it is not in the library's format, such as "None", "01" or "1.0"."""
    text = str(media_id)
    as_number = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-")
    is_odd_number = _NUMBER.fullmatch(as_number) and not _CANONICAL_NUMBER.fullmatch(text)
    is_no_value = text.lower() in _NO_VALUES or not any(map(str.isalnum, text))
    if is_odd_number or is_no_value or not text.isprintable() or _NOT_IN_IDS.search(text):
        raise MediaConfigurationError(
            f"{media_id!r} is not a media id in the library's format, such as 17 or 'med_7f3a'."
        )
    return text


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)

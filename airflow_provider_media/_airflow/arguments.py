"""Parse arguments of operators and the sensor after their templates and XComs were rendered.

An invalid value raises MediaConfigurationError.
"""

from __future__ import annotations

import ast
import json
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from airflow_provider_media._api.values import normalize_media_id, refuse_large_integer, refuse_none, show
from airflow_provider_media.exceptions import MediaConfigurationError

T = TypeVar("T")

_MAX_INTERVAL_SECONDS = 100 * 366 * 86_400
"""A hundred years, so that no date exceeds Python's range."""


class _Sentinel(Enum):
    """A single member: it stays the same object through copy, deepcopy and pickle."""

    NOT_GIVEN = "not given"

    def __repr__(self) -> str:
        """Return a string without an address, so that a DAG that contains it serializes the same at each parse."""
        return self.name

    __str__ = __repr__

    def __bool__(self) -> bool:
        return False


NOT_GIVEN: Final = _Sentinel.NOT_GIVEN
"""Default of an optional argument. None is a value, which a template or an upstream task may return."""

NotGiven = Literal[_Sentinel.NOT_GIVEN]

_SEPARATOR = re.compile(r"[\s,;]")
"""Separators of a string of several ids; no id contains them."""

_LAZY_TEXT = re.compile(r"\bLazy\w*Sequence\(|<generator object|<[\w.]*XComArg object")
"""The ``str()`` of a mapped task's results: it has the sequence's type, not its values."""


class ExactName(str):
    """A name of a file in the library, in which wildcards are literal."""

    __slots__ = ()


def parse_optional(parse: Callable[..., T], field: str, value: Any) -> T | None:
    """Parse an optional argument; return None if it was not given."""
    return None if value is NOT_GIVEN else parse(field, value)


def parse_nullable(parse: Callable[..., T], field: str, value: Any) -> T | None:
    """Parse an optional argument for which None is the same as not given, because it selects nothing."""
    return None if value is None else parse_optional(parse, field, value)


def parse_str(field: str, value: Any) -> str:
    """Return a string unchanged, or the digits of an integer, which native rendering may have returned."""
    refuse_none(field, value)
    if isinstance(value, int) and not isinstance(value, bool):
        refuse_large_integer(field, value)
        return str(value)
    if not isinstance(value, str):
        raise MediaConfigurationError(f"{field} must be a string, not {type(value).__name__} {show(value)}.")
    if value.strip() in {"", "None"}:
        raise MediaConfigurationError(
            f"{field} must not be {value!r}. Did a Jinja template or an upstream task return nothing?"
        )
    _refuse_lazy_text(field, value)
    return value


def parse_token(field: str, value: Any) -> str:
    """Return a string, such as a folder's id or a MIME type, without surrounding blanks."""
    return parse_str(field, value).strip()


def check_literal(field: str, value: Any) -> str:
    """Return a non-empty string unchanged; for arguments that Airflow does not render."""
    if not isinstance(value, str) or value.strip() in {"", "None"}:
        raise MediaConfigurationError(f"{field} must be a non-empty string, not {show(value)}.")
    if any(mark in value for mark in ("{{", "{%", "{#")):
        raise MediaConfigurationError(f"{field} must not be a template, because Airflow does not render it: {value!r}.")
    return value


def parse_interval(field: str, value: Any, *, may_be_zero: bool = False) -> float:
    """Return a positive number of seconds or a timedelta as seconds."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds <= _MAX_INTERVAL_SECONDS or not (seconds or may_be_zero):
        raise MediaConfigurationError(
            f"{field} must be a positive number of seconds or a timedelta, at most a hundred years, not {show(value)}."
        )
    return seconds


def parse_callable(field: str, value: Any) -> Callable[..., Any]:
    """Return a callable, which may be given by its dotted path."""
    found: Callable[..., Any] = value
    if isinstance(value, str):
        try:
            found = pkgutil.resolve_name(value)
        except (ImportError, AttributeError, ValueError) as error:
            raise MediaConfigurationError(f"{field}={value!r} cannot be imported: {error}.") from error
    if not callable(found):
        kind = type(found).__name__
        raise MediaConfigurationError(f"{field}={value!r} must be a callable or the dotted path of one, not {kind}.")
    return found


def parse_datetime(field: str, value: Any) -> datetime:
    """Return a datetime, which a template may have rendered to a string."""
    refuse_none(field, value)
    parsed = value
    if isinstance(value, str):
        with suppress(ValueError):
            parsed = datetime.fromisoformat(value.strip())
    if not isinstance(parsed, datetime):
        hint = " Did a Jinja template or an upstream task return nothing?" if value in ("", "None") else ""
        raise MediaConfigurationError(f"{field} must be a datetime or a string in ISO 8601, not {show(value)}.{hint}")
    if parsed.utcoffset() is None:
        raise MediaConfigurationError(
            f"{field} must have a time zone, such as 2026-07-01T09:00:00+02:00; {value} has none."
        )
    return parsed


def parse_choice(field: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return one of the choices, ignoring case and surrounding blanks."""
    refuse_none(field, value)
    choice = value.strip().lower() if isinstance(value, str) else ""
    if choice not in choices:
        raise MediaConfigurationError(f"{field} must be one of {', '.join(choices)}, not {show(value)}.")
    return choice


def parse_path(field: str, value: Any) -> Any:
    """Return a path or an open file unchanged."""
    refuse_none(field, value)
    if isinstance(value, str):
        return parse_str(field, value)
    if isinstance(value, (list, tuple, set, Mapping)):
        raise MediaConfigurationError(
            f"{field} must be one path, not a {type(value).__name__}. For several files, map the task with"
            f" .expand({field}=[...]), or sync their folder with MediaSyncOperator."
        )
    if isinstance(value, (int, float)):
        raise MediaConfigurationError(f"{field} must be a path, not {show(value)}.")
    return value


def parse_urls(field: str, value: Any) -> dict[str, str] | None:
    """Return the URLs of a list or a mapping, or of the string of one, by name; None for a path.

    In a list, the name is the decoded last part of the URL's path.
    """
    refuse_none(field, value)
    value = _parse_literal(field, value)
    if _is_url(value):
        value = [value]
    if not isinstance(value, (list, tuple, Mapping)):
        return None
    urls: dict[str, str] = {}
    for given, url in value.items() if isinstance(value, Mapping) else [(None, one) for one in value]:
        if not _is_url(url):
            raise MediaConfigurationError(
                f"{field} must be a path, or a list or a mapping of URLs, not of {show(url)}."
            )
        name = unquote(urlsplit(url).path.rpartition("/")[2]) if given is None else parse_str(field, given)
        if not name or name in urls:
            problem = f"two URLs of the name {name!r}" if name else "a URL without a name"
            raise MediaConfigurationError(f"{field} has {problem}. Use a mapping {{name: URL}}.")
        urls[name] = url
    if not urls:
        raise MediaConfigurationError(f"{field} must not be empty. Did an upstream task return nothing?")
    return urls


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.lower().startswith(("http://", "https://"))


def parse_list(field: str, value: Any, *, nested_strings: bool = False) -> list[Any]:
    """Return a list of the values in nested or lazy sequences, a string of a list, a sync's manifest, or one value.

    The string may be JSON, as from ``tojson``, or a Python literal. A string that only starts like a list is one value,
    because files may be named "[draft] banner".

    :param nested_strings: whether to parse strings within a list as well; not for names.
    """
    refuse_none(field, value)
    return list(_flatten(field, _parse_literal(field, value), nested_strings=nested_strings))


def _flatten(field: str, value: Any, *, nested_strings: bool) -> Iterator[Any]:
    is_manifest = isinstance(value, Mapping) and all(isinstance(one, Mapping) and "id" in one for one in value.values())
    if is_manifest:
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        for one in value:
            parsed = _parse_literal(field, one) if nested_strings else one
            yield from _flatten(field, parsed, nested_strings=nested_strings)
    else:
        yield value


def _parse_literal(field: str, value: Any) -> Any:
    """Return the list or dict that a string contains, or else the value."""
    if type(value) is not str:
        return value
    _refuse_lazy_text(field, value)
    stripped = value.strip()
    if stripped.startswith(("[", "(", "{")):
        for parse in (json.loads, ast.literal_eval):
            try:
                found = parse(stripped)
            except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two for deep nesting
                continue
            if isinstance(found, (list, tuple, dict)):
                return found
    return value


def _refuse_lazy_text(field: str, text: str) -> None:
    if _LAZY_TEXT.search(text):
        raise MediaConfigurationError(
            f"{field} is {text!r}, the string of a lazy sequence, not the mapped task's results. Pass its .output, "
            f'as in {field}=upload.output["id"], or add "| list" in the template.'
        )


def parse_name(field: str, value: Any) -> str:
    """Return a name or pattern, or the name in a file's dict, as an upload returns it, as :class:`ExactName`."""
    if isinstance(value, Mapping) and "name" in value:
        return ExactName(parse_str(field, value["name"]))
    return parse_str(field, value)


def takes_literally(name: str | None, *, wildcards: bool) -> bool:
    """Return whether ``*``, ``?`` and ``[...]`` in a name are literal."""
    return not wildcards or isinstance(name, ExactName)


def parse_names(field: str, value: Any) -> list[str]:
    """Return a list of names; see :func:`parse_name`."""
    names = [parse_name(field, one) for one in parse_list(field, value)]
    if not names:
        raise MediaConfigurationError(f"{field} is empty. Pass at least one name.")
    return names


def parse_media_id(field: str, value: Any) -> int | str:
    """Return an id, or the id in a file's dict, as an upload returns it."""
    if isinstance(value, Mapping):
        value = value.get("id")
    if isinstance(value, str):
        _refuse_lazy_text(field, value)
        if _SEPARATOR.search(value.strip()):
            raise MediaConfigurationError(f"{field} {value!r} is not a media id. Pass a list: media_ids=[17, 18].")
    elif isinstance(value, Iterable):
        raise MediaConfigurationError(f"{field} is not a media id but several values: use media_ids for several files.")
    return normalize_media_id(value)


def parse_media_ids(media_id: Any, media_ids: Any, *, ignore_none: bool) -> list[int | str]:
    """Return the ids of both arguments, each once, in the order given.

    :param ignore_none: skip None, alone or in the list.
    """
    if media_id is NOT_GIVEN and media_ids is NOT_GIVEN:
        raise MediaConfigurationError("Give media_id or media_ids.")
    given = [] if media_id is NOT_GIVEN else [("media_id", media_id)]
    if media_ids is None:
        given.append(("media_ids", None))
    elif media_ids is not NOT_GIVEN:
        several = parse_list("media_ids", media_ids, nested_strings=True)
        if several == [media_ids] and isinstance(media_ids, str) and media_ids.lstrip().startswith(("[", "(", "{")):
            raise MediaConfigurationError(f"{media_ids!r} is not a list of ids.")
        if not several and not given and not ignore_none:
            raise MediaConfigurationError("media_ids is empty. Did an upstream task find nothing?")
        given += [("media_ids", one) for one in several]
    ids: dict[str, int | str] = {}
    for field, value in given:
        if value is not None:
            parsed = parse_media_id(field, value)
            ids[str(parsed)] = parsed
        elif not ignore_none:
            raise MediaConfigurationError(
                f"{field}: None is not a media id. Did an upstream task return nothing? If {field} does not apply,"
                " leave the argument out."
            )
    return list(ids.values())

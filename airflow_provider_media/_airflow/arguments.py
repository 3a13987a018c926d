"""Read arguments of operators and sensors that came out of templates and XComs."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from airflow_provider_media.exceptions import MediaConfigurationError

_LONGEST_NUMBER = 18
"""Digits of a whole number; no sensible one has more, and Python refuses to read thousands."""


def parse_int(field: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Read a whole number, which a template may have made a text.

    :raises MediaConfigurationError: it is none, or out of its range.
    """
    text = str(value).strip()
    is_number = not isinstance(value, bool) and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    if not is_number or int(text) < least or (most is not None and int(text) > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise MediaConfigurationError(f"{field} must be a whole number {bounds}, not {value!r}.")
    return int(text)


def parse_bool(field: str, value: Any) -> bool:
    """Read true or false, which a template may have made a text.

    :raises MediaConfigurationError: it is neither.
    """
    text = str(value).strip().lower()
    if text not in {"true", "false"}:
        raise MediaConfigurationError(f"{field} must be true or false, not {value!r}.")
    return text == "true"


def parse_str(field: str, value: Any) -> str:
    """Return the text, unless it is what a template renders to when there is nothing.

    :raises MediaConfigurationError: it is empty or "None".
    """
    text = value.strip() if isinstance(value, str) else ""
    if text in {"", "None"}:
        raise MediaConfigurationError(
            f"{field} must not be {value!r}; did a template or an earlier task's result come out empty?"
        )
    return text


def parse_datetime(field: str, value: Any) -> datetime:
    """Read a point in time, which a template may have made a text.

    :raises MediaConfigurationError: it is none, or has no time zone.
    """
    read = value
    if isinstance(value, str):
        try:
            read = datetime.fromisoformat(value.strip())
        except ValueError:
            read = None
    if not isinstance(read, datetime):
        raise MediaConfigurationError(
            f"{field} must be a datetime or its text in ISO 8601, not {value!r}; did a template or an earlier task's"
            " result come out empty?"
        )
    if read.utcoffset() is None:
        raise MediaConfigurationError(
            f"{field} must have a time zone, as 2026-07-01T09:00:00+02:00 has; {value} has none."
        )
    return read


def parse_choice(field: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return the value when it is among the choices.

    :raises MediaConfigurationError: it is not.
    """
    if value not in choices:
        raise MediaConfigurationError(f"{field} must be one of {', '.join(choices)}, not {value!r}.")
    return str(value)


def as_list(value: Any) -> list[Any]:
    """Spread what was given for several: a sequence, what mapped tasks returned, one value, or the text of a list.

    The text may be JSON, as ``tojson`` writes it, or Python's. One that only begins like a list is one value: files may
    be named "[draft] banner".
    """
    if isinstance(value, str):
        value = _list_of_text(value)
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, dict)):
        return list(value)
    return [value]


def _list_of_text(text: str) -> Any:
    """Return the list that a text writes down, or else the text."""
    stripped = text.strip()
    if stripped.startswith(("[", "(")):
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(stripped)
            except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two for deep nesting
                continue
            if isinstance(found, (list, tuple)):
                return found
    return text


def all_ids(media_id: Any, media_ids: Any, *, ignore_none: bool) -> list[int | str]:
    """Put one id and several together, each once, in the order given.

    :param ignore_none: leave out None, alone or in the list; otherwise it is refused, as every other non-id is.
    :raises MediaConfigurationError: something is not an id, or none is there.
    """
    from airflow_provider_media._api.protocol import check_media_id
    from airflow_provider_media.exceptions import public_errors

    several = [] if media_ids is None else as_list(media_ids)
    if isinstance(media_ids, str) and several == [media_ids] and media_ids.lstrip().startswith(("[", "(")):
        raise MediaConfigurationError(f"{media_ids!r} is not a list of ids.")
    given = [value for value in (media_id, *several) if value is not None]
    if not ignore_none and media_id is None and media_ids is not None and not several:
        raise MediaConfigurationError("No id was given: media_ids is empty; did an earlier task find nothing?")
    if not ignore_none and (None in several or not given):
        raise MediaConfigurationError(
            "None is not a media id: give media_id or media_ids; did an earlier task's result come out empty?"
        )
    with public_errors():
        ids = [check_media_id(value) for value in given]
    return list({str(value): value for value in ids}.values())

"""Read arguments of operators and sensors that came out of templates and XComs."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from airflow_provider_media.exceptions import MediaConfigurationError

_LONGEST_NUMBER = 18
"""Digits of a whole number; no sensible one has more, and Python refuses to read thousands."""


def whole_number(field: str, value: Any) -> int:
    """Read a whole number of at least 1, which a template may have made a text.

    :raises MediaConfigurationError: it is none.
    """
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or len(text) > _LONGEST_NUMBER or int(text) < 1:
        raise MediaConfigurationError(f"{field} must be a whole number of at least 1, not {value!r}.")
    return int(text)


def filled_text(field: str, value: Any) -> str:
    """Return the text, unless it is what a template renders to when there is nothing.

    :raises MediaConfigurationError: it is empty or "None".
    """
    text = value.strip() if isinstance(value, str) else ""
    if text in {"", "None"}:
        raise MediaConfigurationError(
            f"{field} must not be {value!r}; did a template or an earlier task's result come out empty?"
        )
    return text


def moment(field: str, value: Any) -> datetime:
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


def one_of(field: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return the value when it is among the choices.

    :raises MediaConfigurationError: it is not.
    """
    if value not in choices:
        raise MediaConfigurationError(f"{field} must be one of {', '.join(choices)}, not {value!r}.")
    return str(value)


def as_list(value: Any) -> list[Any]:
    """Spread what was given for several: a sequence, what mapped tasks returned, one value, or the text of a list."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "(")):
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            raise MediaConfigurationError(f"{value!r} is not a list of ids or names.") from None
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, dict)):
        return list(value)
    return [value]


def all_ids(media_id: Any, media_ids: Any, *, ignore_none: bool) -> list[int | str]:
    """Put one id and several together, each once, in the order given.

    :param ignore_none: leave out None, alone or in the list; otherwise it is refused, as every other non-id is.
    :raises MediaConfigurationError: something is not an id, or none is there.
    """
    from airflow_provider_media._api.protocol import check_media_id
    from airflow_provider_media.exceptions import public_errors

    several = [] if media_ids is None else as_list(media_ids)
    given = [value for value in (media_id, *several) if value is not None]
    if not ignore_none and (None in several or not given):
        raise MediaConfigurationError(
            "None is not a media id: give media_id or media_ids; did an earlier task's result come out empty?"
        )
    with public_errors():
        ids = [check_media_id(value) for value in given]
    return list({str(value): value for value in ids}.values())

"""Creation dates as servers write them: read for what they surely tell."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

NO_ZONE = timezone(timedelta(0), "no zone told")
"""Stands for UTC, in a moment whose time zone the server left out."""

NO_TIME = timezone(timedelta(0), "no time told")
"""Stands for UTC, in a moment of which the server told the day only."""

_WRITTEN = re.compile(r"\d{4}-\d{2}-\d{2}(?P<time>[Tt ]\d{2}:\d{2}.*)?", re.ASCII)
_FIRST_YEAR = 2000
"""There were no such libraries before; a moment before it stands for "none", as 0 and the year 1 do."""
_FIRST_YEAR_2001_IN_MILLISECONDS = 1e12
_FURTHEST_BEHIND_UTC = timedelta(hours=12)
_LATER = {"no zone told": _FURTHEST_BEHIND_UTC, "no time told": timedelta(days=1) + _FURTHEST_BEHIND_UTC}
"""How much later than written a moment may be, by the name of its zone."""


def parse_timestamp(value: Any) -> datetime | None:
    """Read a date, with or without a time, in ISO 8601, or seconds or milliseconds since 1970; others are unknown."""
    try:
        moment = _read(value)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment and moment.year >= _FIRST_YEAR else None


def parse_http_date(value: str) -> datetime | None:
    """Read the date of a header; None where it is none, or its numbers are larger than a date can have."""
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _read(value: Any) -> datetime | None:
    if isinstance(value, str) and (written := _WRITTEN.fullmatch(value)):
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=NO_ZONE if written["time"] else NO_TIME)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000 if value >= _FIRST_YEAR_2001_IN_MILLISECONDS else value, UTC)
    return None


def min_age(moment: datetime, now: datetime) -> timedelta:
    """Tell how old a file is at least that was stored at a moment of which the zone or the time may be unknown.

    :param now: with a time zone.
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=NO_ZONE)
    return now - moment - _LATER.get(moment.tzname() or "", timedelta(0))

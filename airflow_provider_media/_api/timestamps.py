"""Parse the creation dates that servers send."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

NO_ZONE = timezone(timedelta(0), "unknown zone")
"""UTC, of a timestamp without a time zone."""

NO_TIME = timezone(timedelta(0), "unknown time")
"""UTC, of a date without a time."""

_ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}(?P<time>[Tt ]\d{2}:\d{2}.*)?", re.ASCII)
_FIRST_YEAR = 2000
"""Earlier dates, such as 0 and the year 1, mean "unknown"."""
_FIRST_YEAR_2001_IN_MILLISECONDS = 1e12
_MAX_UTC_OFFSET = timedelta(hours=12)
_MAX_ERRORS = {"unknown zone": _MAX_UTC_OFFSET, "unknown time": timedelta(days=1) + _MAX_UTC_OFFSET}
"""How much later than parsed a timestamp may be, by the name of its zone."""


def parse_timestamp(value: Any) -> datetime | None:
    """Parse an ISO 8601 date, with or without a time, or (milli)seconds since 1970; return None for anything else."""
    try:
        timestamp = _parse(value)
    except (ValueError, OverflowError, OSError):
        return None
    return timestamp if timestamp and timestamp.year >= _FIRST_YEAR else None


def parse_http_date(value: str) -> datetime | None:
    """Parse the date of an HTTP header; return None if it is invalid or out of range."""
    with suppress(ValueError, OverflowError):
        timestamp = parsedate_to_datetime(value)
        return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
    return None


def _parse(value: Any) -> datetime | None:
    if isinstance(value, str) and (match := _ISO_8601.fullmatch(value)):
        timestamp = datetime.fromisoformat(value)
        return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=NO_ZONE if match["time"] else NO_TIME)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000 if value >= _FIRST_YEAR_2001_IN_MILLISECONDS else value, UTC)
    return None


def min_age(timestamp: datetime, now: datetime) -> timedelta:
    """Return the min age of a file, also if the zone or time of its timestamp is unknown.

    :param now: a datetime with a time zone.
    """
    if timestamp.tzinfo is None:
        timestamp = timestamp.replace(tzinfo=NO_ZONE)
    return now - timestamp - _MAX_ERRORS.get(timestamp.tzname() or "", timedelta(0))

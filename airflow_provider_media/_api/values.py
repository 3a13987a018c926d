"""Parse values that strings may represent; format counts, sizes, ids and URLs for people.

An invalid value raises MediaConfigurationError, or ValueError in a checkpoint.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_media.exceptions import MediaConfigurationError, MediaError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_media.models import Media

_MAX_DIGITS = 19
"""The digits of a 64-bit integer; Python refuses to parse thousands."""

_MAX_ID_DIGITS = 100
"""More than any server's ids have; Python does not convert integers of thousands of digits to strings."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def refuse_none(field: str, value: object) -> None:
    """Raise for None, which a template or an upstream task returned; it must not count as "not given"."""
    if value is None:
        raise MediaConfigurationError(
            f"{field} must not be None: a template or an upstream task returned nothing. If {field} does not apply,"
            " leave the argument out."
        )


def show(value: object, *, max_length: int = 100) -> str:
    """Return a value's ``repr`` for a message, shortened."""
    try:
        shown = repr(value)
    except ValueError:  # of an integer with more than 4300 digits, which a list may contain
        return f"{'an integer' if isinstance(value, int) else 'a value'} of thousands of digits"
    return shown if len(shown) <= max_length else f"{shown[:max_length]}..."


def is_large_integer(value: object) -> bool:
    """Return whether it is an integer with more digits than an id has."""
    return isinstance(value, int) and abs(value) >= 10**_MAX_ID_DIGITS


def refuse_large_integer(field: str, value: object) -> None:
    """Raise for an integer with more digits than an id has."""
    if is_large_integer(value):
        raise MediaConfigurationError(f"{field} must be a string or an integer of at most {_MAX_ID_DIGITS} digits.")


def is_boolean(value: str) -> bool:
    """Return whether :func:`parse_bool` accepts the string."""
    return value.strip().lower() in _BOOLEANS


def _to_string(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # see show()
        return ""


def parse_bool(field: str, value: Any) -> bool:
    """Return a boolean, also of 1, 0, "true", "false", "yes", "no", "on" and "off" in any case."""
    refuse_none(field, value)
    text = _to_string(value)
    if not is_boolean(text):
        raise MediaConfigurationError(f"{field} must be true or false, not {show(value)}.")
    return _BOOLEANS[text.strip().lower()]


def parse_int(field: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Return an integer, also of a string or float of one ("7", 7.0)."""
    refuse_none(field, value)
    digits = _to_string(value).strip().removesuffix(".0")
    is_integer = not isinstance(value, bool) and digits.isdecimal() and len(digits) <= _MAX_DIGITS
    if not is_integer or int(digits) < least or (most is not None and int(digits) > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise MediaConfigurationError(f"{field} must be an integer {bounds}, not {show(value)}.")
    return int(digits)


def normalize_media_id(media_id: object) -> int | str:
    """Return the id as it is sent."""
    if isinstance(media_id, str):
        media_id = media_id.strip()
    is_id = isinstance(media_id, (int, str)) and not isinstance(media_id, bool) and not is_large_integer(media_id)
    if not is_id or str(media_id) in {"", "None", ".", ".."} or _LONE_SURROGATE.search(str(media_id)):
        hint = " Did a Jinja template or an upstream task return nothing?" if media_id in (None, "", "None") else ""
        raise MediaConfigurationError(f"{show(media_id)} is not a media id.{hint}")
    assert isinstance(media_id, (int, str))  # noqa: S101 - for the type checker; checked above
    return media_id


def parse_id(value: Any) -> int | str:
    """Parse the id of a file."""
    try:
        return normalize_media_id(value)
    except MediaError:
        raise ValueError(f"not an id: {value!r}") from None


def parse_ids(values: Any) -> tuple[int | str, ...]:
    """Parse a list of ids."""
    if not isinstance(values, list):
        raise ValueError("not a list of ids")  # noqa: TRY004 - one error for all shapes
    return tuple(map(parse_id, values))


def parse_flag(value: Any) -> bool:
    """Parse a bool."""
    if not isinstance(value, bool):
        raise ValueError(f"not a bool: {value!r}")  # noqa: TRY004 - one error for all shapes
    return value


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
    timestamp: datetime | None = None
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(value, str) and (match := _ISO_8601.fullmatch(value)):
            timestamp = datetime.fromisoformat(value)
            if timestamp.tzinfo is None:
                timestamp = timestamp.replace(tzinfo=NO_ZONE if match["time"] else NO_TIME)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = value / 1000 if value >= _FIRST_YEAR_2001_IN_MILLISECONDS else value
            timestamp = datetime.fromtimestamp(seconds, UTC)
    return timestamp if timestamp and timestamp.year >= _FIRST_YEAR else None


def parse_http_date(value: str) -> datetime | None:
    """Parse the date of an HTTP header; return None if it is invalid or out of range."""
    with suppress(ValueError, OverflowError):
        timestamp = parsedate_to_datetime(value)
        return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
    return None


def min_age(timestamp: datetime, now: datetime) -> timedelta:
    """Return the min age of a file, also if the zone or time of its timestamp is unknown."""
    if timestamp.tzinfo is None:
        timestamp = timestamp.replace(tzinfo=NO_ZONE)
    return now - timestamp - _MAX_ERRORS.get(timestamp.tzname() or "", timedelta(0))


_UNITS = ("kB", "MB", "GB", "TB")
_KILO = 1000


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 file``, ``2 files``, ``2 entries``."""
    if count == 1:
        return f"{count} {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


def format_size(size: int | None) -> str:
    """Return a size for people: ``823 bytes``, ``81.7 kB``, ``12.1 MB`` (12,100,000 bytes)."""
    if size is None:
        return "unknown size"
    if size < _KILO:
        return plural(size, "byte")
    value, units = size / _KILO, [*_UNITS]
    while round(value, 1) >= _KILO and len(units) > 1:
        value /= _KILO
        del units[0]
    return f"{value:.1f} {units[0]}"


def escape_controls(text: str) -> str:
    """Return a string on one line, with control characters, line breaks and lone surrogates escaped as in ``repr``."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def format_media(media: Media) -> str:
    """Return a file's id, size and URL on one line: ``id 17, 81.7 kB, 'https://…'``."""
    return f"id {media.id!r}, {format_size(media.size)}, {media.url!r}"


def format_ids(found: Iterable[Media], *, with_sizes: bool = False) -> str:
    """Return the ids of files: ``17, 18``, or ``17 (81.7 kB), 18 (90 bytes)``."""
    return ", ".join(
        f"{escape_controls(str(media.id))}{f' ({format_size(media.size)})' if with_sizes else ''}" for media in found
    )


REDACTED = "***"


ZONE_HINT = ", which HTTP libraries cannot use. Use a host name or an address without '%'."


def has_zone(host: str) -> bool:
    """Return whether a URL's host is an IPv6 address with a zone id, such as ``fe80::1%eth0``."""
    return ":" in host and "%" in host


def redact_url(url: str) -> str:
    """Replace possible secrets in a URL: its credentials, and its query and fragment, which may contain a signature.

    In schemes other than HTTP, the part before an ``@`` is an Airflow connection id, unless it has a colon.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    is_http = scheme.lower() in {"http", "https"}
    if is_http:
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        if "@" in authority:
            rest = f"{REDACTED}@{rest[authority.rindex('@') + 1 :]}"
    elif ":" in rest.partition("@")[0].partition("/")[0] and "@" in rest:
        rest = f"{REDACTED}@{rest.rpartition('@')[2]}"
    for mark in "?#":
        before, _, parameters = rest.partition(mark)
        if parameters and (is_http or "=" in parameters):
            rest = f"{before}{mark}{REDACTED}"
    return f"{scheme}{separator}{rest}"


def redact_urls(text: str) -> str:
    """Replace possible secrets in all URLs of a string; see :func:`redact_url`."""
    return _URL.sub(lambda found: redact_url(found[0]), text) if "://" in text else text


_URL = re.compile(r"""\w[\w+.-]*://[^\s'"<>]+""")


def safe_cause(error: BaseException | None) -> BaseException | None:
    """Return the error as a cause to raise from; None if it or its causes may show credentials in a URL."""
    cause = error
    while cause is not None:
        if redact_urls(str(cause)) != str(cause):
            return None
        cause = cause.__cause__ or cause.__context__
    return error

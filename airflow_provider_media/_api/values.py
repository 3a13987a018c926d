"""Parsers of values that forms, connection URIs and templates may have turned into strings."""

from __future__ import annotations

from typing import Any

from airflow_provider_media.exceptions import MediaConfigurationError

_MAX_DIGITS = 18
"""No sensible integer has more digits, and Python refuses to parse thousands."""

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def refuse_none(field: str, value: object) -> None:
    """Raise for None, which a template or an upstream task returned; it must not count as "not given".

    :raises MediaConfigurationError: the value is None.
    """
    if value is None:
        raise MediaConfigurationError(
            f"{field} must not be None: a template or an upstream task returned nothing. If {field} does not apply,"
            " leave the argument out."
        )


def is_boolean(value: str) -> bool:
    """Return whether :func:`parse_bool` accepts the string."""
    return value.strip().lower() in _BOOLEANS


def parse_bool(field: str, value: Any) -> bool:
    """Return a boolean.

    :param value: a boolean, 1 or 0, or one of "true", "false", "yes", "no", "on", "off" in any case.
    :raises MediaConfigurationError: it is something else.
    """
    refuse_none(field, value)
    text = str(value)
    if not is_boolean(text):
        raise MediaConfigurationError(f"{field} must be true or false, not {value!r}.")
    return _BOOLEANS[text.strip().lower()]


def parse_int(field: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Return an integer.

    :param value: an integer, or a string or float of one ("7", 7.0).
    :param least: the minimum.
    :param most: the maximum, if there is one.
    :raises MediaConfigurationError: it is not an integer, or is out of range.
    """
    refuse_none(field, value)
    digits = str(value).strip().removesuffix(".0")
    is_integer = not isinstance(value, bool) and digits.isdecimal() and len(digits) <= _MAX_DIGITS
    if not is_integer or int(digits) < least or (most is not None and int(digits) > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise MediaConfigurationError(f"{field} must be an integer {bounds}, not {value!r}.")
    return int(digits)

"""Faults that tests inject: parsing, validation and matching.

:mod:`airflow_provider_media.sandbox.fault_effects` implements and documents their effects.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from airflow_provider_media.sandbox.settings import MEDIA_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "status": (("status",), ("headers", "body", "early", "close")),
    "reset_before_body": ((), ()),
    "reset_mid_body": (("after_bytes",), ()),
    "reset_before_answer": ((), ()),
    "slow": (("delay_seconds",), ()),
    "store_then_drop": ((), ()),
    "store_late": (("delay_seconds",), ("drop_after_seconds",)),
    "cut_answer": ((), ()),
}
"""Required and optional options of each kind of fault."""

_METHODS = ("GET", "POST", "DELETE", "*")
_COMMON_OPTIONS = ("fault", "method", "path", "times", "skip")
_MAX_SECONDS = 3600
_MAX_COUNT = 2**31
_FRAMING_HEADERS = ("content-length", "transfer-encoding", "connection")


class FaultError(ValueError):
    """The description of a fault is invalid."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault and its remaining number of uses.

    :param fault: the kind, a key of :data:`_OPTIONS`.
    :param method: the HTTP method to match, or ``*``.
    :param path: the paths to match: a shell pattern in which ``*`` also matches slashes.
    :param times: number of requests to affect.
    :param skip: number of matching requests to let through first.
    :param status: the HTTP status to return.
    :param headers: headers to add to the response or to override.
    :param body: the response body: any JSON value, or ``{"text": ...}`` for plain text; None for the documented error.
    :param early: respond without reading the request body.
    :param close: close the connection after the response; otherwise the rest of the body is read and discarded.
    :param after_bytes: number of body bytes to read before the reset.
    :param delay_seconds: seconds between the end of the body and handling the request.
    :param drop_after_seconds: seconds between the end of the body and dropping the connection.
    """

    fault: str
    method: str = "*"
    path: str = f"{MEDIA_PATH}*"
    times: int = 1
    skip: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    early: bool = False
    close: bool = False
    after_bytes: int = 0
    delay_seconds: float = 0
    drop_after_seconds: float = 0

    def matches(self, method: str, path: str) -> bool:
        """Return whether the fault applies to a request."""
        return self.method in {"*", method} and fnmatchcase(path, self.path)

    def to_dict(self) -> dict[str, Any]:
        """Return the fault as a JSON-serializable dict, with the options of its kind only."""
        shown = {*_COMMON_OPTIONS, *_OPTIONS[self.fault][0], *_OPTIONS[self.fault][1]}
        return {name: value for name, value in asdict(self).items() if name in shown}


class PendingFaults:
    """The pending faults, in the order they were added."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault at the end of the queue."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def to_list(self) -> list[dict[str, Any]]:
        """Return the pending faults as JSON-serializable values."""
        return [fault.to_dict() for fault in self._faults]

    def take(self, method: str, path: str) -> Fault | None:
        """Return the first fault that applies to this request and count the use; None if there is none."""
        for fault in self._faults:
            if not fault.matches(method, path):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)
            return fault
        return None


def parse_fault(value: Any) -> Fault:
    """Parse and validate a fault's JSON value.

    :raises FaultError: the value is invalid.
    """
    if not isinstance(value, dict):
        raise FaultError("A fault must be a JSON object.")
    kind = value.get("fault")
    if not isinstance(kind, str) or kind not in _OPTIONS:
        raise FaultError(f"'fault' must be one of {', '.join(_OPTIONS)}.")
    required, optional = _OPTIONS[kind]
    for name in required:
        if name not in value:
            raise FaultError(f"The fault {kind!r} requires {name!r}.")
    known = (*_COMMON_OPTIONS, *required, *optional)
    for name in value:
        if name not in known:
            raise FaultError(f"The fault {kind!r} does not accept {name!r}; it accepts {', '.join(known)}.")
    fault = Fault(**{name: _PARSERS[name](name, given) for name, given in value.items()})
    if kind == "store_late" and fault.drop_after_seconds > fault.delay_seconds:
        raise FaultError("'drop_after_seconds' must be at most 'delay_seconds'.")
    return fault


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise FaultError(f"{name!r} must be a non-empty string.")
    return value


def _method(name: str, value: Any) -> str:
    method = _string(name, value).upper()
    if method not in _METHODS:
        raise FaultError(f"{name!r} must be one of {', '.join(_METHODS)}, not {value!r}.")
    return method


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise FaultError(f"{name!r} must be true or false.")
    return value


def _integer(minimum: int, maximum: int) -> Callable[[str, Any], int]:
    def parse(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise FaultError(f"{name!r} must be an integer from {minimum} to {maximum}.")
        return value

    return parse


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_SECONDS:
        raise FaultError(f"{name!r} must be a number of seconds from 0 to {_MAX_SECONDS}.")
    return value


def _headers(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise FaultError(f"{name!r} must be a JSON object with string values.")
    for header, content in value.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", header) or header.lower() in _FRAMING_HEADERS:
            raise FaultError(f"{name!r} does not accept the header {header!r}.")
        if not isinstance(content, str) or not re.fullmatch(r"([!-~]([\t -~]*[!-~])?)?", content):
            raise FaultError(f"The header {header!r} must be a string of printable ASCII characters.")
    return value


def _any_json(_name: str, value: Any) -> Any:
    return value


_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "fault": _string,
    "method": _method,
    "path": _string,
    "times": _integer(1, _MAX_COUNT),
    "skip": _integer(0, _MAX_COUNT),
    "status": _integer(200, 599),
    "headers": _headers,
    "body": _any_json,
    "early": _boolean,
    "close": _boolean,
    "after_bytes": _integer(0, _MAX_COUNT),
    "delay_seconds": _seconds,
    "drop_after_seconds": _seconds,
}

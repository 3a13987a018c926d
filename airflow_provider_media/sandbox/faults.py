"""Faults that a test asks for: which calls they strike, and how a request for one is checked.

What each does is told, and done, in :mod:`airflow_provider_media.sandbox.fault_effects`.
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
"""The kinds of fault, each with the options it needs and those it takes."""

_METHODS = ("GET", "POST", "DELETE", "*")
_COMMON_OPTIONS = ("fault", "method", "path", "times", "skip")
_MAX_SECONDS = 3600
_MAX_COUNT = 2**31
_FRAMING_HEADERS = ("content-length", "transfer-encoding", "connection")


class FaultError(ValueError):
    """A fault was asked for in a way that makes no sense."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault and how often it is still to strike.

    :param fault: the kind, of :data:`_OPTIONS`.
    :param method: the method it strikes, or ``*``.
    :param path: the paths it strikes, as a shell pattern whose ``*`` matches slashes too.
    :param times: how many calls it strikes.
    :param skip: how many matching calls get through before the first.
    :param status: the status to answer.
    :param headers: headers to add to that answer, or to put in place of its own.
    :param body: its body: any JSON value, or ``{"text": ...}`` for plain text; None for the documented error.
    :param early: answer without reading the request's body.
    :param close: close the connection after that answer; otherwise the rest of the body is read and thrown away.
    :param after_bytes: how much of the body is read before the reset.
    :param delay_seconds: how long to wait between the end of the body and acting.
    :param drop_after_seconds: how long after the body's end the connection is dropped.
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
        """Tell whether a call is of those that the fault strikes."""
        return self.method in {"*", method} and fnmatchcase(path, self.path)

    def to_dict(self) -> dict[str, Any]:
        """Tell the fault as JSON, with the options of its kind only."""
        shown = {*_COMMON_OPTIONS, *_OPTIONS[self.fault][0], *_OPTIONS[self.fault][1]}
        return {name: value for name, value in asdict(self).items() if name in shown}


class PendingFaults:
    """The faults still to strike, in the order they were asked for."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Queue a fault behind the others."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Call all faults off."""
        self._faults.clear()

    def to_list(self) -> list[dict[str, Any]]:
        """Tell the pending faults as JSON values."""
        return [fault.to_dict() for fault in self._faults]

    def take(self, method: str, path: str) -> Fault | None:
        """Tell the fault that strikes this call, the first that matches and has skipped enough; None for none."""
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


def read_fault(value: Any) -> Fault:
    """Check a fault's JSON.

    :raises FaultError: with one sentence that names what is wrong.
    """
    if not isinstance(value, dict):
        raise FaultError("A fault must be a JSON object.")
    kind = value.get("fault")
    if not isinstance(kind, str) or kind not in _OPTIONS:
        raise FaultError(f"'fault' must be one of {', '.join(_OPTIONS)}.")
    required, optional = _OPTIONS[kind]
    for name in required:
        if name not in value:
            raise FaultError(f"The fault {kind!r} needs {name!r}.")
    known = (*_COMMON_OPTIONS, *required, *optional)
    for name in value:
        if name not in known:
            raise FaultError(f"The fault {kind!r} takes no {name!r}; it takes {', '.join(known)}.")
    fault = Fault(**{name: _READERS[name](name, given) for name, given in value.items()})
    if kind == "store_late" and fault.drop_after_seconds > fault.delay_seconds:
        raise FaultError("'drop_after_seconds' must not be more than 'delay_seconds'.")
    return fault


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise FaultError(f"{name!r} must be a text.")
    return value


def _method(name: str, value: Any) -> str:
    method = _text(name, value).upper()
    if method not in _METHODS:
        raise FaultError(f"{name!r} must be one of {', '.join(_METHODS)}, not {value!r}.")
    return method


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise FaultError(f"{name!r} must be true or false.")
    return value


def _whole_number(minimum: int, maximum: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise FaultError(f"{name!r} must be a whole number from {minimum} to {maximum}.")
        return value

    return read


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_SECONDS:
        raise FaultError(f"{name!r} must be a number of seconds from 0 to {_MAX_SECONDS}.")
    return value


def _headers(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise FaultError(f"{name!r} must be a JSON object of texts.")
    for header, content in value.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", header) or header.lower() in _FRAMING_HEADERS:
            raise FaultError(f"{name!r} cannot hold the header {header!r}.")
        if not isinstance(content, str) or not re.fullmatch(r"([!-~]([\t -~]*[!-~])?)?", content):
            raise FaultError(f"The header {header!r} must be a text of printable ASCII characters.")
    return value


def _any_json(_name: str, value: Any) -> Any:
    return value


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "fault": _text,
    "method": _method,
    "path": _text,
    "times": _whole_number(1, _MAX_COUNT),
    "skip": _whole_number(0, _MAX_COUNT),
    "status": _whole_number(200, 599),
    "headers": _headers,
    "body": _any_json,
    "early": _boolean,
    "close": _boolean,
    "after_bytes": _whole_number(0, _MAX_COUNT),
    "delay_seconds": _seconds,
    "drop_after_seconds": _seconds,
}

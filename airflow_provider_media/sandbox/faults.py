"""Faults that tests inject, and their effects on the real connection, so that clients see real network errors.

===================  ===================================================================================
status               read the body (unless ``early``) and return the status; do not handle the request
reset_before_body    reset the connection (TCP RST) before reading the body
reset_mid_body       reset the connection after ``after_bytes`` of the body, or all of it, were read
reset_before_answer  read the body, then reset the connection; do not handle the request
slow                 read the body, then handle the request and respond after ``delay_seconds``, even if
                     the client has disconnected
store_then_drop      handle the request, then drop the connection without a response
store_late           drop the connection ``drop_after_seconds`` after the end of the body without a response;
                     handle the request ``delay_seconds`` after the end of the body
cut_answer           handle the request, and close the connection after half of the response body
===================  ===================================================================================
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider_media.sandbox.dialect import error_body
from airflow_provider_media.sandbox.settings import MEDIA_PATH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

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

    :param body: the response body: any JSON value, or ``{"text": ...}`` for plain text; None for the documented error.
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


def take_fault(pending: list[Fault], method: str, path: str) -> Fault | None:
    """Return the first fault that applies to this request and count the use; None if there is none."""
    for fault in pending:
        if not fault.matches(method, path):
            continue
        if fault.skip:
            fault.skip -= 1
            continue
        fault.times -= 1
        if not fault.times:
            pending.remove(fault)
        return fault
    return None


def parse_fault(value: Any) -> Fault:
    """Parse and validate a fault's JSON value."""
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


_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "fault": _string,
    "method": _method,
    "path": _string,
    "times": _integer(1, _MAX_COUNT),
    "skip": _integer(0, _MAX_COUNT),
    "status": _integer(200, 599),
    "headers": _headers,
    "body": lambda _name, value: value,
    "early": _boolean,
    "close": _boolean,
    "after_bytes": _integer(0, _MAX_COUNT),
    "delay_seconds": _seconds,
    "drop_after_seconds": _seconds,
}


TRANSPORT = "sandbox.transport"
"""Key of the connection's transport in the ASGI scope."""

_BEFORE_HANDLING = "sandbox.before_handling"
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)


class Delays:
    """All delays of a sandbox, so that a stopping sandbox can cancel them."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for the given time, or until the sandbox stops."""
        try:
            await asyncio.wait_for(self._ended.wait(), timeout=seconds)
        except TimeoutError:
            return

    def cancel_all(self) -> None:
        """End all current and future delays."""
        self._ended.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request in progress."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    delays: Delays

    @property
    def transport(self) -> Any:
        """The connection, an ``asyncio.Transport``."""
        return self.scope[TRANSPORT]

    async def read_body(self, max_bytes: float = float("inf")) -> None:
        """Read and discard the request body."""
        received = 0
        while received < max_bytes:
            message = await self.receive()
            received += len(message.get("body", b""))
            if not message.get("more_body", False):
                return

    async def reset(self) -> None:
        """Reset the connection with a TCP RST."""
        linger = struct.pack("ii", 1, 0)  # on, 0 seconds: discard unsent data
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()
        await self.wait_for_disconnect()

    async def drop(self) -> None:
        """Close the connection and discard unsent data (a plain FIN, no TLS close_notify)."""
        self.transport.abort()
        await self.wait_for_disconnect()

    async def close(self) -> None:
        """Send pending data, then close the connection."""
        self.transport.close()
        await self.wait_for_disconnect()

    async def wait_for_disconnect(self) -> None:
        """Wait until the server handles the disconnect, so that it does not expect a response."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def before_handling(scope: Scope) -> None:
    """Apply a pending delay; route handlers call it after reading and validating the request."""
    delay = scope.get(_BEFORE_HANDLING)
    if delay is not None:
        await delay()


async def _status(fault: Fault, exchange: Exchange) -> None:
    if not fault.early:
        await exchange.read_body()
    headers = {"content-type": "application/json"}
    if isinstance(fault.body, dict) and fault.body.keys() == {"text"}:
        headers["content-type"] = "text/plain; charset=utf-8"
        content = str(fault.body["text"]).encode(errors="replace")
    else:
        body = error_body(fault.status, "Injected fault.") if fault.body is None else fault.body
        content = json.dumps(body).encode()
    if fault.status in _BODILESS:
        content = b""
    headers |= {name.lower(): value for name, value in fault.headers.items()}
    if fault.close:
        headers["connection"] = "close"
    response = Response(content, status_code=fault.status, headers=headers)
    await response(exchange.scope, exchange.receive, exchange.send)


async def _reset(fault: Fault, exchange: Exchange) -> None:
    read = {"reset_before_body": 0, "reset_mid_body": fault.after_bytes}
    await exchange.read_body(max_bytes=read.get(fault.fault, float("inf")))
    await exchange.reset()


async def _slow(fault: Fault, exchange: Exchange) -> None:
    async def wait() -> None:
        await exchange.delays.wait(fault.delay_seconds)

    await exchange.app({**exchange.scope, _BEFORE_HANDLING: wait}, exchange.receive, exchange.send)


async def _store_then_drop(_fault: Fault, exchange: Exchange) -> None:
    await exchange.app(exchange.scope, exchange.receive, _discard)
    await exchange.drop()


async def _store_late(fault: Fault, exchange: Exchange) -> None:
    async def drop_and_wait() -> None:
        await exchange.delays.wait(fault.drop_after_seconds)
        exchange.transport.abort()
        await exchange.delays.wait(fault.delay_seconds - fault.drop_after_seconds)

    await exchange.app({**exchange.scope, _BEFORE_HANDLING: drop_and_wait}, exchange.receive, _discard)
    await exchange.drop()


async def _cut_answer(_fault: Fault, exchange: Exchange) -> None:
    messages: list[Message] = []

    async def collect(message: Message) -> None:
        messages.append(message)

    await exchange.app(exchange.scope, exchange.receive, collect)
    content = b"".join(message.get("body", b"") for message in messages)
    await exchange.send(messages[0])
    await exchange.send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
    await exchange.close()


async def _discard(_message: Any) -> None:
    """Discard the response."""


EFFECTS: dict[str, Callable[[Fault, Exchange], Awaitable[None]]] = {
    "status": _status,
    "reset_before_body": _reset,
    "reset_mid_body": _reset,
    "reset_before_answer": _reset,
    "slow": _slow,
    "store_then_drop": _store_then_drop,
    "store_late": _store_late,
    "cut_answer": _cut_answer,
}

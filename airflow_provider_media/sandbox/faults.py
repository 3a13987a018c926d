"""Faults that tests inject, and their effects on the real connection, so that clients see real network errors."""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider_media.sandbox.dialect import error_body
from airflow_provider_media.sandbox.settings import MEDIA_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPTIONS: dict[str, dict[str, Any]] = {
    "status": {"status": ..., "headers": {}, "body": None, "early": False, "close": False},
    "reset_before_body": {},
    "reset_mid_body": {"after_bytes": ...},
    "reset_before_answer": {},
    "slow": {"delay_seconds": ...},
    "store_then_drop": {},
    "store_late": {"delay_seconds": ..., "drop_after_seconds": 0},
    "cut_answer": {},
}
"""Options of each kind of fault with their defaults; ``...`` marks a required option.

``body`` is any JSON value, or ``{"text": ...}`` for plain text; None for the documented error.
"""

_COMMON_OPTIONS = {"method": "*", "path": f"{MEDIA_PATH}*", "times": 1, "skip": 0}
_METHODS = ("GET", "POST", "DELETE", "*")
_FRAMING_HEADERS = ("content-length", "transfer-encoding", "connection")
_BODILESS = (204, 205, 304)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any, minimum: int = 0, maximum: int = 3600) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and minimum <= value <= maximum


def _is_integer(value: Any, minimum: int = 0, maximum: int = 2**31) -> bool:
    return isinstance(value, int) and _is_number(value, minimum, maximum)


def _are_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(
        re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
        and name.lower() not in _FRAMING_HEADERS
        and isinstance(content, str)
        and re.fullmatch(r"([!-~]([\t -~]*[!-~])?)?", content)
        for name, content in value.items()
    )


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "fault": (lambda value: isinstance(value, str) and value in OPTIONS, f"one of {', '.join(OPTIONS)}"),
    "method": (lambda value: isinstance(value, str) and value.upper() in _METHODS, f"one of {', '.join(_METHODS)}"),
    "path": (lambda value: isinstance(value, str) and value != "", "a non-empty string"),
    "times": (lambda value: _is_integer(value, 1), "an integer of at least 1"),
    "skip": (_is_integer, "an integer of at least 0"),
    "status": (lambda value: _is_integer(value, 200, 599), "an integer from 200 to 599"),
    "headers": (_are_headers, f"an object of printable ASCII strings, without {', '.join(_FRAMING_HEADERS)}"),
    "body": (lambda _value: True, ""),
    "early": (_is_boolean, "true or false"),
    "close": (_is_boolean, "true or false"),
    "after_bytes": (_is_integer, "an integer of at least 0"),
    "delay_seconds": (_is_number, "a number from 0 to 3600"),
    "drop_after_seconds": (_is_number, "a number from 0 to 3600"),
}


def parse_fault(value: Any) -> dict[str, Any]:
    """Validate a fault's JSON value, and return it with the defaults of its options."""
    if not isinstance(value, dict):
        raise ValueError("A fault must be a JSON object.")  # noqa: TRY004 - as for the other errors
    value = {"fault": None, **value}
    for name, (is_valid, expected) in _CHECKS.items():
        if name in value and not is_valid(value[name]):
            raise ValueError(f"{name!r} must be {expected}, not {value[name]!r}.")
    kind = value["fault"]
    defaults = {"fault": kind, **_COMMON_OPTIONS, **OPTIONS[kind]}
    for name in value:
        if name not in defaults:
            raise ValueError(f"The fault {kind!r} does not accept {name!r}; it accepts {', '.join(defaults)}.")
    fault: dict[str, Any] = defaults | value | {"method": value.get("method", "*").upper()}
    for name, given in fault.items():
        if given is ...:
            raise ValueError(f"The fault {kind!r} requires {name!r}.")
    if fault.get("drop_after_seconds", 0) > fault.get("delay_seconds", 0):
        raise ValueError("'drop_after_seconds' must be at most 'delay_seconds'.")
    return fault


def take_fault(pending: list[dict[str, Any]], method: str, path: str) -> dict[str, Any] | None:
    """Return the first fault that applies to this request and count the use; None if there is none."""
    for fault in pending:
        if fault["method"] not in {"*", method} or not fnmatchcase(path, fault["path"]):
            continue
        if fault["skip"]:
            fault["skip"] -= 1
            continue
        fault["times"] -= 1
        if not fault["times"]:
            pending.remove(fault)
        return fault
    return None


TRANSPORT = "sandbox.transport"
"""Key of the connection's ``asyncio.Transport`` in the ASGI scope."""


@dataclass(frozen=True, slots=True)
class FaultyExchange:
    """A request to which a fault applies; the method with the fault's name is its effect.

    :param stopping: ends all delays when it is set.
    """

    fault: dict[str, Any]
    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    stopping: asyncio.Event

    async def run(self) -> None:
        """Apply the fault; if it ends the connection, wait for that, so that the server does not expect a response."""
        await getattr(self, self.fault["fault"])()
        if self._transport.is_closing():
            while (await self.receive())["type"] != "http.disconnect":
                pass

    async def status(self) -> None:
        """Read the body, unless ``early``, and return the status; do not handle the request."""
        fault = self.fault
        if not fault["early"]:
            await self._read_body()
        headers, body = {"content-type": "application/json"}, fault["body"]
        if isinstance(body, dict) and body.keys() == {"text"}:
            headers["content-type"] = "text/plain; charset=utf-8"
            content = str(body["text"]).encode(errors="replace")
        else:
            content = json.dumps(error_body(fault["status"], "Injected fault.") if body is None else body).encode()
        headers |= {name.lower(): value for name, value in fault["headers"].items()}
        if fault["close"]:
            headers["connection"] = "close"
        response = Response(b"" if fault["status"] in _BODILESS else content, fault["status"], headers)
        await response(self.scope, self.receive, self.send)

    async def reset_before_body(self) -> None:
        """Reset the connection before reading the body."""
        self._reset()

    async def reset_mid_body(self) -> None:
        """Reset the connection after ``after_bytes`` of the body, or all of it, were read."""
        await self._read_body(max_bytes=self.fault["after_bytes"])
        self._reset()

    async def reset_before_answer(self) -> None:
        """Read the body, then reset the connection; do not handle the request."""
        await self._read_body()
        self._reset()

    async def slow(self) -> None:
        """Handle the request ``delay_seconds`` after the end of the body, even if the client has disconnected."""
        body = await self._read_body()
        await self._wait(self.fault["delay_seconds"])
        await self._handle(body, self.send)

    async def store_then_drop(self) -> None:
        """Handle the request, then drop the connection without a response."""
        await self.app(self.scope, self.receive, _discard)
        self._transport.abort()  # a plain FIN, no TLS close_notify

    async def store_late(self) -> None:
        """Drop the connection ``drop_after_seconds`` and handle the request ``delay_seconds`` after the body's end."""
        body = await self._read_body()
        await self._wait(self.fault["drop_after_seconds"])
        self._transport.abort()
        await self._wait(self.fault["delay_seconds"] - self.fault["drop_after_seconds"])
        await self._handle(body, _discard)

    async def cut_answer(self) -> None:
        """Handle the request, and close the connection after half of the response body."""
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app(self.scope, self.receive, collect)
        content = b"".join(message.get("body", b"") for message in messages)
        await self.send(messages[0])
        await self.send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
        self._transport.close()

    @property
    def _transport(self) -> Any:
        return self.scope[TRANSPORT]

    async def _read_body(self, max_bytes: float = math.inf) -> list[Message]:
        messages: list[Message] = []
        received = 0
        while received < max_bytes:
            messages.append(await self.receive())
            received += len(messages[-1].get("body", b""))
            if not messages[-1].get("more_body", False):
                break
        return messages

    def _reset(self) -> None:
        """Reset the connection with a TCP RST."""
        linger = struct.pack("ii", 1, 0)  # on, 0 seconds: discard unsent data
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), timeout=seconds)

    async def _handle(self, body: list[Message], send: Send) -> None:
        """Handle the request with a body that was already read."""
        messages = iter(body)

        async def replay() -> Message:
            return next(messages, None) or await self.receive()

        await self.app(self.scope, replay, send)


async def _discard(_message: Message) -> None:
    """Discard the response."""

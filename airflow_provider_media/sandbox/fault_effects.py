"""Effects of faults, applied to the real connection, so that clients see real network errors.

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
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider_media.sandbox.errors import error_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_media.sandbox.faults import Fault

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
    """One request in progress.

    :param app: handles the request without a fault.
    """

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    delays: Delays

    @property
    def transport(self) -> asyncio.Transport:
        """The connection."""
        transport: asyncio.Transport = self.scope[TRANSPORT]
        return transport

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


async def apply_fault(fault: Fault, exchange: Exchange) -> None:
    """Apply a fault to a request."""
    await _EFFECTS[fault.fault](fault, exchange)


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


async def _reset_before_body(_fault: Fault, exchange: Exchange) -> None:
    await exchange.reset()


async def _reset_mid_body(fault: Fault, exchange: Exchange) -> None:
    await exchange.read_body(max_bytes=fault.after_bytes)
    await exchange.reset()


async def _reset_before_answer(_fault: Fault, exchange: Exchange) -> None:
    await exchange.read_body()
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


_EFFECTS: dict[str, Callable[[Fault, Exchange], Awaitable[None]]] = {
    "status": _status,
    "reset_before_body": _reset_before_body,
    "reset_mid_body": _reset_mid_body,
    "reset_before_answer": _reset_before_answer,
    "slow": _slow,
    "store_then_drop": _store_then_drop,
    "store_late": _store_late,
    "cut_answer": _cut_answer,
}

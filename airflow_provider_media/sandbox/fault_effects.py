"""The faults, carried out on the connection itself, so that clients meet what a network does and not a likeness of it.

===================  ===================================================================================
status               the body is read (not when ``early``), and answered with that status; nothing is done
reset_before_body    the connection is reset (TCP RST) before the body is read
reset_mid_body       it is reset once ``after_bytes`` of the body, or all of it, were read
reset_before_answer  the whole body is read, then the connection is reset; nothing is done
slow                 the body is read, and the call is done and answered ``delay_seconds`` later, as usual;
                     it is done even if the client has gone by then
store_then_drop      the call is done in full, then the connection is dropped without an answer
store_late           the connection is dropped ``drop_after_seconds`` after the body's end without an answer;
                     the call is done ``delay_seconds`` after the body's end
cut_answer           the call is done, and the connection closed after half of the answer's body
===================  ===================================================================================
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider_media.sandbox.errors import problem_body

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_media.sandbox.delays import Pauses
    from airflow_provider_media.sandbox.faults import Fault

TRANSPORT = "sandbox.transport"
"""The scope's key for the connection's transport."""

_BEFORE_ACTING = "sandbox.before_acting"
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call under way.

    :param app: does the call as usual.
    """

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    pauses: Pauses

    @property
    def transport(self) -> asyncio.Transport:
        """The connection."""
        transport: asyncio.Transport = self.scope[TRANSPORT]
        return transport

    async def read_body(self, at_most: float = float("inf")) -> None:
        """Read the request's body and throw it away."""
        received = 0
        while received < at_most:
            message = await self.receive()
            received += len(message.get("body", b""))
            if not message.get("more_body", False):
                return

    async def reset(self) -> None:
        """Break the connection off with a TCP RST."""
        linger = struct.pack("ii", 1, 0)  # on, for 0 seconds: what is unsent is thrown away
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()
        await self.wait_for_disconnect()

    async def drop(self) -> None:
        """End the connection without a word; what was not sent yet is not sent (a plain FIN, no TLS farewell)."""
        self.transport.abort()
        await self.wait_for_disconnect()

    async def close(self) -> None:
        """Send what is still to be sent, then close the connection in order."""
        self.transport.close()
        await self.wait_for_disconnect()

    async def wait_for_disconnect(self) -> None:
        """Wait until the server knows that the connection is gone, so that it misses no answer."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def before_acting(scope: Scope) -> None:
    """Let a fault hold a call up between the end of its body and what it does; each call asks, once it is accepted."""
    hold = scope.get(_BEFORE_ACTING)
    if hold is not None:
        await hold()


async def disrupt(fault: Fault, exchange: Exchange) -> None:
    """Carry a fault out."""
    await _DISRUPTIONS[fault.fault](fault, exchange)


async def _status(fault: Fault, exchange: Exchange) -> None:
    if not fault.early:
        await exchange.read_body()
    headers = {"content-type": "application/json"}
    if isinstance(fault.body, dict) and fault.body.keys() == {"text"}:
        headers["content-type"] = "text/plain; charset=utf-8"
        content = str(fault.body["text"]).encode(errors="replace")
    else:
        body = problem_body(fault.status, "A fault of the sandbox.") if fault.body is None else fault.body
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
    await exchange.read_body(at_most=fault.after_bytes)
    await exchange.reset()


async def _reset_before_answer(_fault: Fault, exchange: Exchange) -> None:
    await exchange.read_body()
    await exchange.reset()


async def _slow(fault: Fault, exchange: Exchange) -> None:
    async def wait() -> None:
        await exchange.pauses.wait(fault.delay_seconds)

    await exchange.app({**exchange.scope, _BEFORE_ACTING: wait}, exchange.receive, exchange.send)


async def _store_then_drop(_fault: Fault, exchange: Exchange) -> None:
    await exchange.app(exchange.scope, exchange.receive, _withhold)
    await exchange.drop()


async def _store_late(fault: Fault, exchange: Exchange) -> None:
    async def drop_and_wait() -> None:
        await exchange.pauses.wait(fault.drop_after_seconds)
        exchange.transport.abort()
        await exchange.pauses.wait(fault.delay_seconds - fault.drop_after_seconds)

    await exchange.app({**exchange.scope, _BEFORE_ACTING: drop_and_wait}, exchange.receive, _withhold)
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


async def _withhold(_message: Any) -> None:
    """Send nothing."""


_DISRUPTIONS: dict[str, Callable[[Fault, Exchange], Awaitable[None]]] = {
    "status": _status,
    "reset_before_body": _reset_before_body,
    "reset_mid_body": _reset_mid_body,
    "reset_before_answer": _reset_before_answer,
    "slow": _slow,
    "store_then_drop": _store_then_drop,
    "store_late": _store_late,
    "cut_answer": _cut_answer,
}

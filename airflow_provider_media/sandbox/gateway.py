"""What stands in front of the library: request ids, the journal, faults, the API key and the rate limits.

It is a plain ASGI layer, because it must be able to answer, or to break the connection, before the body is read.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from airflow_provider_media.sandbox.errors import problem_body, problem_response
from airflow_provider_media.sandbox.fault_effects import TRANSPORT, Exchange, disrupt
from airflow_provider_media.sandbox.limits import RateLimiter
from airflow_provider_media.sandbox.request_log import Call, Journal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_media.sandbox.delays import Pauses
    from airflow_provider_media.sandbox.faults import PendingFaults
    from airflow_provider_media.sandbox.settings import SandboxSettings

_OWN_PATHS = ("/", "/openapi.yaml", "/favicon.ico")
_OWN_FOLDERS = ("/_sandbox/", "/files/")


class Gateway:
    """Lets calls through to the library; the sandbox's own pages pass without key, limit, fault or note.

    :param app: the library's routes.
    :param faults: what tests asked for.
    :param journal: where the calls are noted.
    :param pauses: ends the waits when the sandbox stops.
    """

    def __init__(
        self, app: ASGIApp, settings: SandboxSettings, *, faults: PendingFaults, journal: Journal, pauses: Pauses
    ) -> None:
        self._app = app
        self._api_key = settings.api_key.encode()
        self._limiter = RateLimiter(settings.requests_per_minute, settings.burst_per_second)
        self._faults = faults
        self._journal = journal
        self._pauses = pauses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one call; the server has no other kinds of scope."""
        path = scope["path"]
        call = Call(method=scope["method"], path=path, query=scope["query_string"].decode("ascii", "replace"))
        own = path in _OWN_PATHS or path.startswith(_OWN_FOLDERS)
        transport = scope[TRANSPORT]

        async def counting_receive() -> Message:
            message = await receive()
            if not transport.is_closing():  # what was under way when a fault ended the connection is not read
                call.body_bytes += len(message.get("body", b""))
            return message

        async def noting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.status = None if transport.is_closing() else message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in ({} if own else self._limiter.headers()).items():
                    headers.setdefault(name, value)  # a fault may have put its own there
                headers.setdefault("X-Request-Id", call.request_id)
            await send(message)

        if own:
            await self._app(scope, receive, noting_send)
            return
        self._journal.add(call)
        fault = self._faults.take(scope["method"], path)
        if fault is None:
            await self._admit(scope, counting_receive, noting_send)
            return
        exchange = Exchange(
            app=self._admit, scope=scope, receive=counting_receive, send=noting_send, pauses=self._pauses
        )
        await disrupt(fault, exchange)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check key and rate on the headers alone, as gateways do: a refusal does not wait for the body."""
        response = self._refusal(Headers(scope=scope))
        await (response or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        key = headers.get("x-api-key")
        if key is None:
            return problem_response(HTTPStatus.UNAUTHORIZED, "The header X-Api-Key is missing.")
        if not secrets.compare_digest(key.encode("latin-1"), self._api_key):
            return problem_response(HTTPStatus.UNAUTHORIZED, "The API key is not valid.")
        wait_seconds = self._limiter.take()
        if wait_seconds is None:
            return None
        body = problem_body(HTTPStatus.TOO_MANY_REQUESTS, "Rate limit exceeded.") | {"retryAfter": wait_seconds}
        return JSONResponse(body, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(wait_seconds)})

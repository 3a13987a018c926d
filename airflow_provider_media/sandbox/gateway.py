"""Gateway in front of the library: request ids, request log, faults, API key and rate limits.

It is plain ASGI, because it must be able to respond or to reset the connection before the body is read.
"""

from __future__ import annotations

import asyncio
import gzip
import math
import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from airflow_provider_media.sandbox.dialect import error_body, error_response
from airflow_provider_media.sandbox.faults import TRANSPORT, FaultyExchange, take_fault

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_media.sandbox.settings import SandboxSettings

_OWN_PATHS = ("/", "/openapi.yaml", "/favicon.ico")
_FILES = "/files/"
_OWN_FOLDERS = ("/_sandbox/", _FILES, "/assets/", "/api/")

_INTERIM_RESPONSES = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    b"HTTP/1.1 103 Early Hints\r\nLink: </preview.css>; rel=preload\r\n\r\n"
)


PRODUCTION_REQUESTS_PER_MINUTE = 1000
"""Value of ``X-RateLimit-Limit`` without an enforced limit (the platform's limit of production keys)."""


class RequestQuota:
    """Counts requests in fixed windows of a minute and a second; each starts with its first request."""

    def __init__(self, requests_per_minute: int | None, burst_per_second: int | None) -> None:
        self._limits = {60: requests_per_minute, 1: burst_per_second}
        self._ends_at = {60: 0.0, 1: 0.0}
        self._used = {60: 0, 1: 0}

    def take(self) -> int | None:
        """Count one request and return None; above a limit, do not count it and return the seconds to wait."""
        now = time.time()
        for seconds, limit in self._limits.items():
            self._roll(seconds, now)
            if limit is not None and self._used[seconds] >= limit:
                return max(1, math.ceil(self._ends_at[seconds] - now))
        for seconds in self._used:
            self._used[seconds] += 1
        return None

    def headers(self) -> dict[str, str]:
        """Return the rate limit headers of a response; the reset time is Unix time in seconds."""
        self._roll(60, time.time())
        limit = self._limits[60]
        return {
            "X-RateLimit-Limit": str(limit or PRODUCTION_REQUESTS_PER_MINUTE),
            "X-RateLimit-Remaining": str(limit - self._used[60] if limit else PRODUCTION_REQUESTS_PER_MINUTE),
            "X-RateLimit-Reset": str(math.ceil(self._ends_at[60])),
        }

    def _roll(self, seconds: int, now: float) -> None:
        if now >= self._ends_at[seconds]:
            self._ends_at[seconds] = now + seconds
            self._used[seconds] = 0


class Gateway:
    """Forwards requests to the routes.

    The sandbox's own pages need no key and have no limits, faults or log. Faults also apply to the URLs of files.
    """

    def __init__(self, app: Starlette, settings: SandboxSettings) -> None:
        self._app = app
        self._settings = settings
        self._api_key = settings.api_key.encode()
        self._quota = RequestQuota(settings.requests_per_minute, settings.burst_per_second)
        self.stopping = asyncio.Event()  # ends the delays of faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request; the server sends no other scopes."""
        path = scope["path"]
        request: dict[str, Any] = {
            "method": scope["method"],
            "path": path,
            "query": scope["query_string"].decode("ascii", "replace"),
            "status": None,
            "body_bytes": 0,
            "request_id": secrets.token_hex(8),
            "started_at": time.time(),
        }
        own = path in _OWN_PATHS or path.startswith(_OWN_FOLDERS)
        app = self._app if own else self._admit
        if not own:
            self._app.state.request_log.append(request)
        can_fail = not own or path.startswith(_FILES)
        fault = take_fault(self._app.state.faults, scope["method"], path) if can_fail else None
        transport: asyncio.Transport = scope[TRANSPORT]

        async def counting_receive() -> Message:
            message = await receive()
            if not transport.is_closing():  # do not count data that arrives after a fault closed the connection
                request["body_bytes"] += len(message.get("body", b""))
            return message

        logging_send = self._logging_send(request, send, transport, own=own)
        if fault is None:
            await app(scope, counting_receive, logging_send)
        else:
            await FaultyExchange(fault, app, scope, counting_receive, logging_send, self.stopping).run()

    def _logging_send(self, request: dict[str, Any], send: Send, transport: asyncio.Transport, *, own: bool) -> Send:
        """Return a function that logs the status, adds headers and interim responses, and compresses errors."""
        held: list[Message] = []

        async def logging_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                request["status"] = None if transport.is_closing() else message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in ({} if own else self._quota.headers()).items():
                    headers.setdefault(name, value)  # keep a fault's own headers
                headers.setdefault("X-Request-Id", request["request_id"])
                if self._settings.interim_responses and not own:
                    transport.write(_INTERIM_RESPONSES)
                if self._settings.compressed_errors and not own and message["status"] >= HTTPStatus.BAD_REQUEST:
                    held.append(message)
                    return
            elif held:
                start = held.pop()
                if not message.get("more_body"):
                    message = {**message, "body": gzip.compress(message.get("body", b""), mtime=0)}
                    headers = MutableHeaders(scope=start)
                    headers.update({"Content-Encoding": "gzip", "Content-Length": str(len(message["body"]))})
                await send(start)
            await send(message)

        return logging_send

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the API key and the rate limit by the headers alone, before the body is read, as gateways do."""
        key = Headers(scope=scope).get("x-api-key")
        app: ASGIApp = self._app
        if key is None:
            app = error_response(401, "The header X-Api-Key is missing.")
        elif not secrets.compare_digest(key.encode("latin-1"), self._api_key):
            app = error_response(401, "The API key is not valid.")
        elif wait_seconds := self._quota.take():
            body = error_body(429, "Rate limit exceeded.") | {"retryAfter": wait_seconds}
            app = JSONResponse(body, 429, {"Retry-After": str(wait_seconds)})
        await app(scope, receive, send)

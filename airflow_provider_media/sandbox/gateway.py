"""Gateway in front of the library: request ids, request log, faults, API key and rate limits.

It is plain ASGI, because it must be able to respond or to reset the connection before the body is read.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from airflow_provider_media.sandbox.errors import error_body, error_response
from airflow_provider_media.sandbox.fault_effects import TRANSPORT, Exchange, apply_fault
from airflow_provider_media.sandbox.limits import RequestQuota
from airflow_provider_media.sandbox.request_log import LoggedRequest, RequestLog

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_media.sandbox.delays import Delays
    from airflow_provider_media.sandbox.faults import PendingFaults
    from airflow_provider_media.sandbox.settings import SandboxSettings

_OWN_PATHS = ("/", "/openapi.yaml", "/favicon.ico")
_OWN_FOLDERS = ("/_sandbox/", "/files/")


class Gateway:
    """Forwards requests to the routes; the sandbox's own pages need no key and have no limits, faults or log.

    :param app: the routes.
    :param faults: the pending faults.
    :param request_log: the log of API requests.
    :param delays: the delays of faults.
    """

    def __init__(
        self, app: ASGIApp, settings: SandboxSettings, *, faults: PendingFaults, request_log: RequestLog, delays: Delays
    ) -> None:
        self._app = app
        self._api_key = settings.api_key.encode()
        self._quota = RequestQuota(settings.requests_per_minute, settings.burst_per_second)
        self._faults = faults
        self._request_log = request_log
        self._delays = delays

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request; the server sends no other scopes."""
        path = scope["path"]
        request = LoggedRequest(
            method=scope["method"], path=path, query=scope["query_string"].decode("ascii", "replace")
        )
        own = path in _OWN_PATHS or path.startswith(_OWN_FOLDERS)
        transport = scope[TRANSPORT]

        async def counting_receive() -> Message:
            message = await receive()
            if not transport.is_closing():  # do not count data that arrives after a fault closed the connection
                request.body_bytes += len(message.get("body", b""))
            return message

        async def logging_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = None if transport.is_closing() else message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in ({} if own else self._quota.headers()).items():
                    headers.setdefault(name, value)  # keep a fault's own headers
                headers.setdefault("X-Request-Id", request.request_id)
            await send(message)

        if own:
            await self._app(scope, receive, logging_send)
            return
        self._request_log.add(request)
        fault = self._faults.take(scope["method"], path)
        if fault is None:
            await self._admit(scope, counting_receive, logging_send)
            return
        exchange = Exchange(
            app=self._admit, scope=scope, receive=counting_receive, send=logging_send, delays=self._delays
        )
        await apply_fault(fault, exchange)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the API key and the rate limit by the headers alone, before the body is read, as gateways do."""
        response = self._rejection(Headers(scope=scope))
        await (response or self._app)(scope, receive, send)

    def _rejection(self, headers: Headers) -> JSONResponse | None:
        key = headers.get("x-api-key")
        if key is None:
            return error_response(HTTPStatus.UNAUTHORIZED, "The header X-Api-Key is missing.")
        if not secrets.compare_digest(key.encode("latin-1"), self._api_key):
            return error_response(HTTPStatus.UNAUTHORIZED, "The API key is not valid.")
        wait_seconds = self._quota.take()
        if wait_seconds is None:
            return None
        body = error_body(HTTPStatus.TOO_MANY_REQUESTS, "Rate limit exceeded.") | {"retryAfter": wait_seconds}
        return JSONResponse(body, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(wait_seconds)})

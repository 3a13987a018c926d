"""``/_sandbox``: routes to queue faults, read the request log, and change the library without faults.

They need no API key, because the sandbox listens on loopback only.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse, Response

from airflow_provider_media.sandbox.errors import ApiError
from airflow_provider_media.sandbox.faults import parse_fault
from airflow_provider_media.sandbox.library import SORT_COLUMNS
from airflow_provider_media.sandbox.media_routes import MediaCollection

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_media.sandbox.dialect import Dialect
    from airflow_provider_media.sandbox.library import Library

_ALL = -1  # no limit, in SQLite


class Faults(HTTPEndpoint):
    """``/_sandbox/faults``."""

    async def post(self, request: Request) -> Response:
        """Queue a fault and return it with its defaults."""
        try:
            fault = parse_fault(json.loads(await request.body(), parse_constant=_reject_constant))
        except ValueError as error:  # a FaultError, or JSON that is malformed or not UTF-8
            raise ApiError(HTTPStatus.BAD_REQUEST, f"Invalid fault: {error}") from error
        request.app.state.faults.add(fault)
        return JSONResponse(fault.to_dict(), status_code=HTTPStatus.CREATED)

    async def get(self, request: Request) -> Response:
        """Return the pending faults."""
        return JSONResponse(request.app.state.faults.to_list())

    async def delete(self, request: Request) -> Response:
        """Remove all pending faults."""
        request.app.state.faults.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)


class Requests(HTTPEndpoint):
    """``/_sandbox/requests``."""

    async def get(self, request: Request) -> Response:
        """Return the requests since the start or the last DELETE, oldest first."""
        return JSONResponse(request.app.state.request_log.to_list())

    async def delete(self, request: Request) -> Response:
        """Clear the request log."""
        request.app.state.request_log.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)


class Contents(MediaCollection):
    """``/_sandbox/library``: stores files as the API does, but without faults and rate limits."""

    async def get(self, request: Request) -> Response:
        """Return all files in the library, oldest first."""
        library: Library = request.app.state.library
        dialect: Dialect = request.app.state.dialect
        entries, _, _ = await run_in_threadpool(
            library.page, offset=0, limit=_ALL, order_by=SORT_COLUMNS["id"], descending=False
        )
        return JSONResponse([dialect.media(media) for media in entries])


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a valid JSON value.")

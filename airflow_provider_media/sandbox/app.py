"""The sandbox's ASGI application: the routes behind the gateway, and those of ``/_sandbox``.

Routes below ``/_sandbox`` queue faults, read the request log, and change the library without faults. They need no API
key, because the sandbox listens on loopback only.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airflow_provider_media.sandbox import errors, pages
from airflow_provider_media.sandbox.dialect import Dialect
from airflow_provider_media.sandbox.errors import ApiError
from airflow_provider_media.sandbox.faults import parse_fault
from airflow_provider_media.sandbox.gateway import Gateway, new_request_log
from airflow_provider_media.sandbox.library import SORT_COLUMNS
from airflow_provider_media.sandbox.media_routes import MediaCollection, MediaItem
from airflow_provider_media.sandbox.settings import MEDIA_PATH

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_media.sandbox.faults import Delays
    from airflow_provider_media.sandbox.library import Library
    from airflow_provider_media.sandbox.settings import SandboxSettings

_ALL = -1  # no limit, in SQLite


class Faults(HTTPEndpoint):
    """``/_sandbox/faults``."""

    async def post(self, request: Request) -> Response:
        """Queue a fault and return it with its defaults."""
        try:
            fault = parse_fault(json.loads(await request.body(), parse_constant=_reject_constant))
        except ValueError as error:  # a FaultError, or JSON that is malformed or not UTF-8
            raise ApiError(HTTPStatus.BAD_REQUEST, f"Invalid fault: {error}") from error
        request.app.state.faults.append(fault)
        return JSONResponse(fault.to_dict(), status_code=HTTPStatus.CREATED)

    async def get(self, request: Request) -> Response:
        """Return the pending faults."""
        return JSONResponse([fault.to_dict() for fault in request.app.state.faults])

    async def delete(self, request: Request) -> Response:
        """Remove all pending faults."""
        request.app.state.faults.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)


class Requests(HTTPEndpoint):
    """``/_sandbox/requests``."""

    async def get(self, request: Request) -> Response:
        """Return the requests since the start or the last DELETE, oldest first."""
        return JSONResponse([asdict(logged) for logged in request.app.state.request_log])

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
        entries, _ = await run_in_threadpool(
            library.page, offset=0, limit=_ALL, order_by=SORT_COLUMNS["id"], descending=False
        )
        return JSONResponse([dialect.media(media) for media in entries])


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a valid JSON value.")


def build_app(settings: SandboxSettings, *, library: Library, base_url: str, delays: Delays) -> Gateway:
    """Build the application."""
    app = Starlette(
        routes=[
            Route(MEDIA_PATH, MediaCollection),
            Route(MEDIA_PATH + "/{media_id}", MediaItem),
            Route("/", pages.library_page),
            Route("/assets/{name}", pages.page_asset),
            Route("/api/start", pages.page_start),
            Route("/api/library/sandbox", pages.page_library),
            Route("/api/entry/sandbox", pages.page_entry),
            Route("/files/{media_id}/{file_name}", pages.stored_file),
            Route("/openapi.yaml", pages.contract),
            Route("/favicon.ico", pages.favicon),
            Route("/_sandbox/faults", Faults),
            Route("/_sandbox/requests", Requests),
            Route("/_sandbox/library", Contents),
            Route("/_sandbox/library/{media_id}", MediaItem),
        ],
        exception_handlers={
            errors.ApiError: errors.api_error_response,
            ClientDisconnect: errors.disconnected_response,
            HTTPStatus.NOT_FOUND: errors.not_found_response,
            HTTPStatus.METHOD_NOT_ALLOWED: errors.method_not_allowed_response,
            Exception: errors.internal_error_response,
        },
    )
    app.router.redirect_slashes = False  # as on the platform
    app.state.settings = settings
    app.state.library = library
    app.state.dialect = Dialect(settings, base_url)
    app.state.faults = []
    app.state.request_log = new_request_log()
    return Gateway(app, settings, faults=app.state.faults, request_log=app.state.request_log, delays=delays)

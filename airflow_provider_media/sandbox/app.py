"""The sandbox's ASGI application: the routes of the Media API behind the gateway, and those of ``/_sandbox``.

Routes below ``/_sandbox`` queue faults, read the request log, and change the library without faults. They need no API
key, because the sandbox listens on loopback only.
"""

from __future__ import annotations

import json
import re
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from airflow_provider_media.sandbox import pages
from airflow_provider_media.sandbox.dialect import NAME_CHANGES, Dialect, error_response, reencode
from airflow_provider_media.sandbox.faults import parse_fault
from airflow_provider_media.sandbox.gateway import Gateway
from airflow_provider_media.sandbox.library import SORT_COLUMNS, time_ago
from airflow_provider_media.sandbox.settings import MEDIA_PATH
from airflow_provider_media.sandbox.uploads import receive_upload

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_media.sandbox.library import Library
    from airflow_provider_media.sandbox.settings import SandboxSettings

_CONTRACT = Path(__file__).with_name("openapi.yaml")
MAX_LIMIT = 1000
_ALL = -1  # no limit, in SQLite
_MAX_LOGGED_REQUESTS = 10_000


def _query(request: Request, **defaults: str) -> dict[str, str]:
    """Return the query parameters with defaults; others are refused, so that a mistyped one does not go unnoticed."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in defaults:
            raise HTTPException(400, f"Unknown query parameter {name!r}.")
        if name in given:
            raise HTTPException(400, f"The query parameter {name!r} must not be repeated.")
        given[name] = value
    return defaults | given


def _integer(name: str, text: str, minimum: int, maximum: int | None = None) -> int:
    # At most 100 digits, because int() is slow for long strings.
    number = int(text) if re.fullmatch("-?[0-9]{1,100}", text) else minimum - 1
    if number < minimum or (maximum is not None and number > maximum):
        span = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise HTTPException(400, f"{name} must be an integer {span}.")
    return number


class MediaCollection(HTTPEndpoint):
    """``/partner-gateway/v1/media``."""

    async def post(self, request: Request) -> Response:
        """Store a file; its type is detected from its content, because the declared type is not reliable."""
        _query(request)
        settings: SandboxSettings = request.app.state.settings
        library: Library = request.app.state.library
        with library.incoming_file() as path:
            upload = await receive_upload(request, path, settings.max_bytes)
            if settings.reencodes:
                await run_in_threadpool(reencode, path)
            upload["name"] = NAME_CHANGES[settings.names](upload["name"])
            media = await run_in_threadpool(library.store, path, **upload)
        return JSONResponse(request.app.state.dialect.single(media), status_code=201)

    def get(self, request: Request) -> Response:
        """Return one page of the list."""
        values = _query(request, page="0", limit="10", sortBy="id", sortOrder="asc")
        page = _integer("page", values["page"], minimum=0)
        limit = _integer("limit", values["limit"], minimum=1, maximum=MAX_LIMIT)
        for name, choices in (("sortBy", SORT_COLUMNS), ("sortOrder", ("asc", "desc"))):
            if values[name] not in choices:
                raise HTTPException(400, f"{name} must be one of {', '.join(choices)}.")
        dialect: Dialect = request.app.state.dialect
        lag: float = request.app.state.settings.list_lag_seconds
        entries, total = request.app.state.library.page(
            offset=page * limit,
            limit=limit,
            order_by=dialect.sort_column(values["sortBy"]),
            descending=values["sortOrder"] == "desc",
            as_of=time_ago(lag) if lag else None,
        )
        return JSONResponse(dialect.page(entries, page=page, limit=limit, total=total))


class MediaItem(HTTPEndpoint):
    """``/partner-gateway/v1/media/{id}``."""

    def get(self, request: Request) -> Response:
        """Return one file's metadata."""
        _query(request)
        media = pages.find_media(request, request.path_params["media_id"])
        lag: float = request.app.state.settings.get_lag_seconds
        if lag and media.created_at > time_ago(lag):
            raise pages.media_not_found(request.path_params["media_id"])
        return JSONResponse(request.app.state.dialect.single(media))

    def delete(self, request: Request) -> Response:
        """Delete one file."""
        _query(request)
        media = pages.find_media(request, request.path_params["media_id"])
        if not request.app.state.library.delete(media):
            raise pages.media_not_found(request.path_params["media_id"])
        return Response(status_code=204)


class Requests(HTTPEndpoint):
    """``/_sandbox/requests``."""

    key = "request_log"

    async def get(self, request: Request) -> Response:
        """Return the requests since the start or the last DELETE, oldest first."""
        return JSONResponse(list(getattr(request.app.state, self.key)))

    async def delete(self, request: Request) -> Response:
        """Clear the list."""
        getattr(request.app.state, self.key).clear()
        return Response(status_code=204)


class Faults(Requests):
    """``/_sandbox/faults``: the pending faults."""

    key = "faults"

    async def post(self, request: Request) -> Response:
        """Queue a fault and return it with its defaults."""
        try:
            fault = parse_fault(json.loads(await request.body(), parse_constant=_reject_constant))
        except ValueError as error:  # also of JSON that is malformed or not UTF-8
            raise HTTPException(400, f"Invalid fault: {error}") from error
        request.app.state.faults.append(fault)
        return JSONResponse(fault, status_code=201)


class Contents(MediaCollection):
    """``/_sandbox/library``: stores files as the API does, but without faults and rate limits."""

    def get(self, request: Request) -> Response:
        """Return all files in the library, oldest first."""
        state = request.app.state
        entries, _ = state.library.page(offset=0, limit=_ALL, order_by=SORT_COLUMNS["id"], descending=False)
        return JSONResponse([state.dialect.media(media) for media in entries])


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a valid JSON value.")


async def _error(request: Request, error: Any) -> Response:
    """Return an error of a route or of the router in the documented format."""
    default_messages = {"Not Found": f"Path not found: {request.url.path}"}
    default_messages["Method Not Allowed"] = f"Method {request.method} is not allowed."
    return error_response(error.status_code, default_messages.get(error.detail, error.detail), error.headers)


def build_app(settings: SandboxSettings, *, library: Library, base_url: str) -> Gateway:
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
            Route("/openapi.yaml", lambda _request: FileResponse(_CONTRACT, media_type="application/yaml")),
            Route("/favicon.ico", lambda _request: Response(status_code=204)),
            Route("/_sandbox/faults", Faults),
            Route("/_sandbox/requests", Requests),
            Route("/_sandbox/library", Contents),
            Route("/_sandbox/library/{media_id}", MediaItem),
        ],
        exception_handlers={
            HTTPException: _error,
            ClientDisconnect: lambda *_: Response(),  # never sent
            Exception: lambda *_: error_response(500, "Bug in the sandbox. Its log contains the traceback."),
        },
    )
    app.router.redirect_slashes = False  # as on the platform
    app.state.settings = settings
    app.state.library = library
    app.state.dialect = Dialect(settings, base_url)
    app.state.faults = []
    app.state.request_log = deque(maxlen=_MAX_LOGGED_REQUESTS)  # added when they start, updated until they end
    return Gateway(app, settings)

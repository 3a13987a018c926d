"""Routes of the Media API: upload, list, get and delete."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse, Response

from airflow_provider_media.sandbox.dialect import reencode, stored_name, time_ago
from airflow_provider_media.sandbox.errors import ApiError
from airflow_provider_media.sandbox.faults import before_handling
from airflow_provider_media.sandbox.library import SORT_COLUMNS
from airflow_provider_media.sandbox.uploads import read_boundary, receive_upload

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from airflow_provider_media.sandbox.dialect import Dialect
    from airflow_provider_media.sandbox.library import Library, StoredMedia
    from airflow_provider_media.sandbox.settings import SandboxSettings

MAX_LIMIT = 1000
_SORT_ORDERS = ("asc", "desc")


def reject_query(parameters: QueryParams) -> None:
    """Reject all parameters, so that a mistyped parameter does not go unnoticed."""
    _single_values(parameters, known=())


def _single_values(parameters: QueryParams, known: Collection[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parameters.multi_items():
        if name not in known:
            raise ApiError(HTTPStatus.BAD_REQUEST, f"Unknown query parameter {name!r}.")
        if name in values:
            raise ApiError(HTTPStatus.BAD_REQUEST, f"The query parameter {name!r} must not be repeated.")
        values[name] = value
    return values


def _integer(name: str, text: str, minimum: int, maximum: int | None = None) -> int:
    # At most 100 digits, because int() is slow for long strings.
    number = int(text) if re.fullmatch("-?[0-9]{1,100}", text) else minimum - 1
    if number < minimum or (maximum is not None and number > maximum):
        span = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        raise ApiError(HTTPStatus.BAD_REQUEST, f"{name} must be an integer {span}.")
    return number


def _choice(name: str, text: str, choices: Collection[str]) -> str:
    if text not in choices:
        raise ApiError(HTTPStatus.BAD_REQUEST, f"{name} must be one of {', '.join(choices)}.")
    return text


class MediaCollection(HTTPEndpoint):
    """``/partner-gateway/v1/media``."""

    async def post(self, request: Request) -> Response:
        """Store a file; its type is detected from its content, because the declared type is not reliable."""
        reject_query(request.query_params)
        settings: SandboxSettings = request.app.state.settings
        boundary = read_boundary(request.headers, settings.max_bytes)
        library: Library = request.app.state.library
        with library.incoming_file() as path:
            upload = await receive_upload(request.stream(), boundary, path, settings.max_bytes)
            if settings.reencodes:
                await run_in_threadpool(reencode, path)
            await before_handling(request.scope)
            media = await run_in_threadpool(
                library.store,
                path,
                name=stored_name(upload.name, settings.names),
                description=upload.description,
                folder_id=upload.folder_id,
                mime_type=upload.mime_type,
            )
        return JSONResponse(_dialect(request).single(media), status_code=HTTPStatus.CREATED)

    async def get(self, request: Request) -> Response:
        """Return one page of the list."""
        values = _single_values(request.query_params, known=("page", "limit", "sortBy", "sortOrder"))
        page = _integer("page", values.get("page", "0"), minimum=0)
        limit = _integer("limit", values.get("limit", "10"), minimum=1, maximum=MAX_LIMIT)
        sort_by = _choice("sortBy", values.get("sortBy", "id"), SORT_COLUMNS)
        sort_order = _choice("sortOrder", values.get("sortOrder", "asc"), _SORT_ORDERS)
        await before_handling(request.scope)
        dialect = _dialect(request)
        lag: float = request.app.state.settings.list_lag_seconds
        entries, total = await run_in_threadpool(
            request.app.state.library.page,
            offset=page * limit,
            limit=limit,
            order_by=dialect.sort_column(sort_by),
            descending=sort_order == "desc",
            as_of=time_ago(lag) if lag else None,
        )
        return JSONResponse(dialect.page(entries, page=page, limit=limit, total=total))


class MediaItem(HTTPEndpoint):
    """``/partner-gateway/v1/media/{id}``."""

    async def get(self, request: Request) -> Response:
        """Return one file's metadata."""
        await before_handling(request.scope)
        media = await _find(request)
        lag: float = request.app.state.settings.get_lag_seconds
        if lag and media.created_at > time_ago(lag):
            raise _not_found(request)
        return JSONResponse(_dialect(request).single(media))

    async def delete(self, request: Request) -> Response:
        """Delete one file."""
        media = await _find(request)
        await before_handling(request.scope)
        if not await run_in_threadpool(request.app.state.library.delete, media):
            raise _not_found(request)
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _dialect(request: Request) -> Dialect:
    dialect: Dialect = request.app.state.dialect
    return dialect


async def _find(request: Request) -> StoredMedia:
    reject_query(request.query_params)
    media_id = _dialect(request).parse_id(request.path_params["media_id"])
    media: StoredMedia | None = await run_in_threadpool(request.app.state.library.find, media_id)
    if media is None:
        raise _not_found(request)
    return media


def _not_found(request: Request) -> ApiError:
    return ApiError(HTTPStatus.NOT_FOUND, f"The library has no file with the id {request.path_params['media_id']}.")

"""Routes of the Media API: upload, list, get and delete."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse, Response

from airflow_provider_media.sandbox.changes import reencode, stored_name
from airflow_provider_media.sandbox.dialect import time_ago
from airflow_provider_media.sandbox.errors import ApiError
from airflow_provider_media.sandbox.fault_effects import before_handling
from airflow_provider_media.sandbox.query import parse_list_query, reject_query
from airflow_provider_media.sandbox.uploads import read_boundary, receive_upload

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_media.sandbox.dialect import Dialect
    from airflow_provider_media.sandbox.library import Library, StoredMedia
    from airflow_provider_media.sandbox.settings import SandboxSettings


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
        return JSONResponse(_dialect(request).media(media), status_code=HTTPStatus.CREATED)

    async def get(self, request: Request) -> Response:
        """Return one page of the list."""
        query = parse_list_query(request.query_params)
        await before_handling(request.scope)
        dialect = _dialect(request)
        lag: float = request.app.state.settings.list_lag_seconds
        entries, total, _ = await run_in_threadpool(
            request.app.state.library.page,
            offset=query.page * query.limit,
            limit=query.limit,
            order_by=dialect.sort_column(query.sort_by),
            descending=query.sort_order == "desc",
            as_of=time_ago(lag) if lag else None,
        )
        return JSONResponse(dialect.page(entries, page=query.page, limit=query.limit, total=total))


class MediaItem(HTTPEndpoint):
    """``/partner-gateway/v1/media/{id}``."""

    async def get(self, request: Request) -> Response:
        """Return one file's metadata."""
        await before_handling(request.scope)
        media = await _find(request)
        lag: float = request.app.state.settings.get_lag_seconds
        if lag and media.created_at > time_ago(lag):
            raise _not_found(request)
        return JSONResponse(_dialect(request).media(media))

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

"""The four calls of the Media API."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse, Response

from airflow_provider_media.sandbox.changes import reencode, stored_name
from airflow_provider_media.sandbox.dialect import moment_ago
from airflow_provider_media.sandbox.errors import ProblemError
from airflow_provider_media.sandbox.fault_effects import before_acting
from airflow_provider_media.sandbox.query import read_list_query, refuse_query
from airflow_provider_media.sandbox.uploads import read_boundary, receive_upload

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_media.sandbox.dialect import Dialect
    from airflow_provider_media.sandbox.library import Library, StoredMedia
    from airflow_provider_media.sandbox.settings import SandboxSettings


class MediaCollection(HTTPEndpoint):
    """``/partner-gateway/v1/media``."""

    async def post(self, request: Request) -> Response:
        """Store a file; the type is found by content, because clients declare what they like."""
        refuse_query(request.query_params)
        settings: SandboxSettings = request.app.state.settings
        boundary = read_boundary(request.headers, settings.max_bytes)
        library: Library = request.app.state.library
        with library.incoming_file() as path:
            upload = await receive_upload(request.stream(), boundary, path, settings.max_bytes)
            if settings.reencodes:
                await run_in_threadpool(reencode, path)
            await before_acting(request.scope)
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
        """List one page."""
        query = read_list_query(request.query_params)
        await before_acting(request.scope)
        dialect = _dialect(request)
        lag: float = request.app.state.settings.list_lag_seconds
        entries, total, _ = await run_in_threadpool(
            request.app.state.library.page,
            offset=query.page * query.limit,
            limit=query.limit,
            order_by=dialect.sort_column(query.sort_by),
            descending=query.sort_order == "desc",
            as_of=moment_ago(lag) if lag else None,
        )
        return JSONResponse(dialect.page(entries, page=query.page, limit=query.limit, total=total))


class MediaItem(HTTPEndpoint):
    """``/partner-gateway/v1/media/{id}``."""

    async def get(self, request: Request) -> Response:
        """Tell one file's metadata."""
        await before_acting(request.scope)
        media = await _find(request)
        lag: float = request.app.state.settings.get_lag_seconds
        if lag and media.created_at > moment_ago(lag):
            raise _not_found(request)
        return JSONResponse(_dialect(request).media(media))

    async def delete(self, request: Request) -> Response:
        """Delete one file for good."""
        media = await _find(request)
        await before_acting(request.scope)
        if not await run_in_threadpool(request.app.state.library.delete, media):
            raise _not_found(request)
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _dialect(request: Request) -> Dialect:
    dialect: Dialect = request.app.state.dialect
    return dialect


async def _find(request: Request) -> StoredMedia:
    refuse_query(request.query_params)
    media_id = _dialect(request).read_id(request.path_params["media_id"])
    media: StoredMedia | None = await run_in_threadpool(request.app.state.library.find, media_id)
    if media is None:
        raise _not_found(request)
    return media


def _not_found(request: Request) -> ProblemError:
    return ProblemError(HTTPStatus.NOT_FOUND, f"The library has no file with the id {request.path_params['media_id']}.")

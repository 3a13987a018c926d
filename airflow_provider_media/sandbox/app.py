"""The sandbox's ASGI application: the routes behind the gateway."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from airflow_provider_media.sandbox import errors, pages
from airflow_provider_media.sandbox.control_routes import Contents, Faults, Requests
from airflow_provider_media.sandbox.dialect import Dialect
from airflow_provider_media.sandbox.faults import PendingFaults
from airflow_provider_media.sandbox.gateway import Gateway, RequestLog
from airflow_provider_media.sandbox.media_routes import MediaCollection, MediaItem
from airflow_provider_media.sandbox.settings import MEDIA_PATH

if TYPE_CHECKING:
    from airflow_provider_media.sandbox.fault_effects import Delays
    from airflow_provider_media.sandbox.library import Library
    from airflow_provider_media.sandbox.settings import SandboxSettings


def build_app(settings: SandboxSettings, *, library: Library, base_url: str, delays: Delays) -> Gateway:
    """Build the application.

    :param library: the open library; the caller closes it.
    :param base_url: the sandbox's URL, without a trailing slash.
    :param delays: the delays to cancel when the sandbox stops.
    """
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
    app.state.faults = PendingFaults()
    app.state.request_log = RequestLog()
    return Gateway(app, settings, faults=app.state.faults, request_log=app.state.request_log, delays=delays)

"""The sandbox as one ASGI application: the routes, with the gateway in front of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from airflow_provider_media.sandbox import errors as problems
from airflow_provider_media.sandbox.control_routes import Contents, Faults, Requests
from airflow_provider_media.sandbox.dialect import Dialect
from airflow_provider_media.sandbox.faults import PendingFaults
from airflow_provider_media.sandbox.gateway import Gateway
from airflow_provider_media.sandbox.media_routes import MediaCollection, MediaItem
from airflow_provider_media.sandbox.pages import contract, favicon, library_page, stored_file
from airflow_provider_media.sandbox.request_log import Journal
from airflow_provider_media.sandbox.settings import MEDIA_PATH

if TYPE_CHECKING:
    from airflow_provider_media.sandbox.delays import Pauses
    from airflow_provider_media.sandbox.library import Library
    from airflow_provider_media.sandbox.settings import SandboxSettings


def build_app(settings: SandboxSettings, *, library: Library, base_url: str, pauses: Pauses) -> Gateway:
    """Put the application together.

    :param library: the opened library; closing it stays the caller's.
    :param base_url: the address that the sandbox is reached at; no slash at the end.
    :param pauses: the waits that end when the sandbox stops.
    """
    app = Starlette(
        routes=[
            Route(MEDIA_PATH, MediaCollection),
            Route(MEDIA_PATH + "/{media_id}", MediaItem),
            Route("/", library_page),
            Route("/files/{media_id}/{file_name}", stored_file),
            Route("/openapi.yaml", contract),
            Route("/favicon.ico", favicon),
            Route("/_sandbox/faults", Faults),
            Route("/_sandbox/requests", Requests),
            Route("/_sandbox/library", Contents),
            Route("/_sandbox/library/{media_id}", MediaItem),
        ],
        exception_handlers={
            problems.ProblemError: problems.answer_problem,
            ClientDisconnect: problems.answer_nobody,
            HTTPStatus.NOT_FOUND: problems.answer_no_route,
            HTTPStatus.METHOD_NOT_ALLOWED: problems.answer_wrong_method,
            Exception: problems.answer_defect,
        },
    )
    app.router.redirect_slashes = False  # the platform's paths are these and no others
    app.state.settings = settings
    app.state.library = library
    app.state.dialect = Dialect(settings, base_url)
    app.state.faults = PendingFaults()
    app.state.journal = Journal()
    return Gateway(app, settings, faults=app.state.faults, journal=app.state.journal, pauses=pauses)

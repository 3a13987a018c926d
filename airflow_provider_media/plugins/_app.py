"""Routes of the Media library page. Airflow does not check access to plugin routes, so this module does.

All routes are GET and require permission to read connections: 401 if not signed in, 403 without permission. A route
with a connection id requires permission to read that connection. The API key never leaves the server.
"""

# Not "from __future__ import annotations": FastAPI reads the routes' annotations.
import html
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_connection
from airflow.models import Connection
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from sqlalchemy import func, select
from starlette.exceptions import HTTPException

from airflow_provider_media.plugins._library import CACHE_SECONDS, CONNECTION_TYPE, Libraries, PageError
from airflow_provider_media.plugins._views import View

_PAGE = Path(__file__).parent / "page"
_ASSETS = {file.name: file for file in _PAGE.iterdir() if file.suffix in {".css", ".js", ".svg"}}
_ENVIRONMENT_PREFIX = "AIRFLOW_CONN_"
_MIN_REFRESH_SECONDS = 2.0
"""Minimum age of a snapshot before "Refresh" reads the library again."""

_HEADERS = {
    # Images and videos load from the platform's hosts; everything else from this server.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src http: https:; media-src http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _Json(JSONResponse):
    """JSON in ASCII, because a name truncated within an emoji cannot be encoded in UTF-8."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


app = FastAPI(
    title="Media library",
    default_response_class=_Json,
    dependencies=[Depends(requires_access_connection("GET"))],
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
)
libraries = Libraries()


@app.middleware("http")
async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Add the security headers to every response, errors included."""
    response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@app.exception_handler(PageError)
async def page_error_response(_request: Request, error: PageError) -> Response:
    """Return the error's message as JSON."""
    return JSONResponse({"detail": error.message}, error.status)


@app.exception_handler(HTTPException)
async def http_error_response(request: Request, error: HTTPException) -> Response:
    """Return JSON, or for 401 and 403 on the page itself an HTML page with a sign-in link or the reason."""
    is_page = request.scope["path"].removeprefix(request.scope.get("root_path", "")) in {"", "/"}
    if not is_page or error.status_code not in {401, 403}:
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
    if error.status_code == 401:  # noqa: PLR2004 - HTTP status codes are clear
        login = html.escape(get_auth_manager().get_url_login(next_url=str(request.url)))
        message = f'You are not signed in. <a href="{login}" target="_top">Sign in to Airflow</a>'
    else:
        message = (
            "This page requires permission to read Airflow connections. Ask your administrator for access."
            " A task's XComs also contain the file's id."
        )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>Media library</title><h1>Media library</h1><p>{message}</p></html>"
    )
    return HTMLResponse(page, error.status_code, error.headers)


@app.get("/")
async def page() -> Response:
    """Serve the static page; its scripts load the data."""
    return FileResponse(_PAGE / "index.html")


@app.get("/assets/{name}")
async def asset(name: str) -> Response:
    """Serve a script, stylesheet or icon of the page."""
    if name not in _ASSETS:
        raise HTTPException(404)
    return FileResponse(_ASSETS[name])


@app.get("/api/connections")
def connections(user: GetUserDep, session: SessionDep) -> list[dict[str, Any]]:
    """List the media connections in Airflow's database and environment that the user has permission to read."""
    manager = get_auth_manager()

    def may_read(conn_id: str) -> bool:
        return manager.is_authorized_connection(method="GET", details=ConnectionDetails(conn_id=conn_id), user=user)

    query = select(Connection.conn_id, Connection.description).where(
        func.lower(Connection.conn_type) == CONNECTION_TYPE
    )
    rows = session.execute(query).all()
    if hasattr(manager, "get_authorized_connections"):  # checks teams too; Airflow 3.2 and later
        readable = manager.get_authorized_connections(user=user, method="GET", session=session)
    else:
        readable = {row.conn_id for row in rows if may_read(row.conn_id)}
    found = {row.conn_id: row.description for row in rows if row.conn_id in readable}
    for conn_id in _environment_connections():
        if conn_id not in found and may_read(conn_id):
            found[conn_id] = None
    return [{"id": conn_id, "description": description} for conn_id, description in sorted(found.items())]


def _environment_connections() -> list[str]:
    """Return the ids of the media connections defined in this process's environment."""
    found = []
    for name, value in os.environ.items():
        if not name.startswith(_ENVIRONMENT_PREFIX):
            continue
        with suppress(ValueError, AttributeError, TypeError):  # Airflow cannot parse such a value either
            if _connection_type(value.strip()).lower() == CONNECTION_TYPE:
                found.append(name.removeprefix(_ENVIRONMENT_PREFIX).lower())
    return found


def _connection_type(value: str) -> Any:
    """Return the type of a connection given as JSON or as a URI."""
    fields = json.loads(value) if value.startswith("{") else {"uri": value}
    return fields.get("conn_type") or urlsplit(fields.get("uri")).scheme


@app.get("/api/library/{connection_id:path}")
async def library(
    connection_id: str,
    search: Annotated[str, Query(max_length=200)] = "",
    mime_type: Annotated[str, Query(alias="type", max_length=100)] = "",
    order: Annotated[str, Query(max_length=20)] = "newest",
    page: Annotated[int, Query(ge=0, le=100_000)] = 0,
    fresh: bool = False,  # noqa: FBT001, FBT002 - a query parameter
) -> dict[str, Any]:
    """Return one page of a library."""
    snapshot = await libraries.read(connection_id, max_age=_MIN_REFRESH_SECONDS if fresh else CACHE_SECONDS)
    view = View(search=search, mime_type=mime_type, order=order, page=page).of(snapshot.items)
    return {
        **view,
        "items": [_with_string_ids(item) for item in view["items"]],
        "read": len(snapshot.items),
        "total": snapshot.total,
        "incomplete": snapshot.incomplete,
    }


@app.get("/api/entry/{connection_id:path}")
async def entry(connection_id: str, media: Annotated[str, Query(min_length=1, max_length=200)]) -> dict[str, Any]:
    """Return all fields of one file."""
    return _with_string_ids((await libraries.entry(connection_id, media)).to_dict())


def _with_string_ids(media: dict[str, Any]) -> dict[str, Any]:
    """Convert a file's ids to strings, because browsers represent integers exactly only up to 2**53."""
    return media | {name: str(media[name]) for name in ("id", "folder_id") if media[name] is not None}

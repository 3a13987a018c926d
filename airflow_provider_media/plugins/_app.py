"""The Media library page's routes: Airflow does not guard what a plugin serves, so each of them is guarded here.

Only GET is served, and only to those who may read connections: 401 for nobody, 403 for everybody else. A route that
names a connection asks for the right to read that one. The API key never leaves the server.
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

from airflow_provider_media.plugins._library import CONNECTION_TYPE, KEPT_SECONDS, Libraries, PageError
from airflow_provider_media.plugins._views import View

_PAGE = Path(__file__).parent / "page"
_ASSETS = {file.name: file for file in _PAGE.iterdir() if file.suffix in {".css", ".js", ".svg"}}
_ENVIRONMENT_PREFIX = "AIRFLOW_CONN_"
_FRESH_SECONDS = 2.0
"""Nobody needs to see what is newer than this, however often "Refresh" is pressed."""

_HEADERS = {
    # Pictures and videos are the platform's, wherever it keeps them; all else is from here.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src http: https:; media-src http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _Json(JSONResponse):
    """JSON in ASCII: a name that was cut in the middle of an emoji has no other form."""

    def render(self, content: Any) -> bytes:
        """Return its text."""
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
    """Put the policy on every answer, refusals too."""
    response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@app.exception_handler(PageError)
async def explain(_request: Request, error: PageError) -> Response:
    """Answer with the sentence."""
    return JSONResponse({"detail": error.sentence}, error.status)


@app.exception_handler(HTTPException)
async def refuse(request: Request, error: HTTPException) -> Response:
    """Say a refusal in words, to a reader who follows a link; with the way to sign in."""
    is_page = request.scope["path"].removeprefix(request.scope.get("root_path", "")) in {"", "/"}
    if not is_page or error.status_code not in {401, 403}:
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
    if error.status_code == 401:  # noqa: PLR2004 - the status says it best
        login = html.escape(get_auth_manager().get_url_login(next_url=str(request.url)))
        words = f'You are not signed in. <a href="{login}" target="_top">Sign in to Airflow</a>'
    else:
        words = (
            "This page is for those who may read Airflow's connections; ask your administrator for that right."
            " A task's file is also named in its XComs."
        )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>Media library</title><h1>Media library</h1><p>{words}</p></html>"
    )
    return HTMLResponse(page, error.status_code, error.headers)


@app.get("/")
async def page() -> Response:
    """Serve the page, the same for everybody: what it shows, it asks for."""
    return FileResponse(_PAGE / "index.html")


@app.get("/assets/{name}")
async def asset(name: str) -> Response:
    """Serve a part of the page."""
    if name not in _ASSETS:
        raise HTTPException(404)
    return FileResponse(_ASSETS[name])


@app.get("/api/connections")
def connections(user: GetUserDep, session: SessionDep) -> list[dict[str, Any]]:
    """Tell the connections of the type media that the user may read: of Airflow's database and environment."""
    manager = get_auth_manager()

    def may_read(conn_id: str) -> bool:
        return manager.is_authorized_connection(method="GET", details=ConnectionDetails(conn_id=conn_id), user=user)

    query = select(Connection.conn_id, Connection.description).where(
        func.lower(Connection.conn_type) == CONNECTION_TYPE
    )
    rows = session.execute(query).all()
    if hasattr(manager, "get_authorized_connections"):  # knows of teams, which Airflow has had since 3.2
        readable = manager.get_authorized_connections(user=user, method="GET", session=session)
    else:
        readable = {row.conn_id for row in rows if may_read(row.conn_id)}
    found = {row.conn_id: row.description for row in rows if row.conn_id in readable}
    for conn_id in _of_environment():
        if conn_id not in found and may_read(conn_id):
            found[conn_id] = None
    return [{"id": conn_id, "description": description} for conn_id, description in sorted(found.items())]


def _of_environment() -> list[str]:
    """Tell the connections of the type media that are defined by this process's environment."""
    found = []
    for name, value in os.environ.items():
        if not name.startswith(_ENVIRONMENT_PREFIX):
            continue
        with suppress(ValueError, AttributeError, TypeError):  # Airflow cannot read such a value either
            if _type_of(value.strip()).lower() == CONNECTION_TYPE:
                found.append(name.removeprefix(_ENVIRONMENT_PREFIX).lower())
    return found


def _type_of(value: str) -> Any:
    """Return the type of a connection that is written as JSON or as a URI."""
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
    """Tell one page of a library."""
    snapshot = await libraries.read(connection_id, not_older_than=_FRESH_SECONDS if fresh else KEPT_SECONDS)
    view = View(search=search, mime_type=mime_type, order=order, page=page).of(snapshot.items)
    return {
        **view,
        "items": [_with_ids_as_text(item) for item in view["items"]],
        "read": len(snapshot.items),
        "total": snapshot.total,
        "cut_off": snapshot.cut_off,
    }


@app.get("/api/entry/{connection_id:path}")
async def entry(connection_id: str, media: Annotated[str, Query(min_length=1, max_length=200)]) -> dict[str, Any]:
    """Tell all that is known about one file."""
    return _with_ids_as_text((await libraries.entry(connection_id, media)).to_dict())


def _with_ids_as_text(media: dict[str, Any]) -> dict[str, Any]:
    """Write a file's ids so that a browser keeps them: its numbers are exact up to 2**53 only."""
    return media | {name: str(media[name]) for name in ("id", "folder_id") if media[name] is not None}

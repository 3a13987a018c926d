"""Routes of the Media Library page. Airflow does not check access to plugin routes, so this module does.

All routes are GET: 401 if not signed in, 403 without permission to read connections, unless ``[media] page_readers`` is
``signed_in``. A route with a connection id requires permission to read that connection. The API key never leaves the
server.
"""

# Not "from __future__ import annotations": FastAPI reads the routes' annotations.
import html
import json
import logging
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_connection
from airflow.configuration import conf
from airflow.models import Connection
from airflow.models.xcom import XComModel
from airflow.secrets.environment_variables import EnvironmentVariablesBackend
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse
from sqlalchemy import String, cast, func, select
from starlette.exceptions import HTTPException

from airflow_provider_media.links.media import MediaLink
from airflow_provider_media.plugins._library import CACHE_SECONDS, CONNECTION_TYPE, Libraries, as_json

log = logging.getLogger(__name__)

_PAGE = Path(__file__).parent / "page"
_ASSETS = {file.name: file for file in _PAGE.iterdir() if file.suffix in {".css", ".js", ".svg"}}
_PREFIX = "AIRFLOW_CONN_"
_MIN_REFRESH_SECONDS = 2.0
"""Minimum age of a read before "Refresh" reads the library again."""

_MAP_INDEX = re.compile("[0-9]{1,9}")
_MAX_USE_DAYS = 30
_MAX_USES = 20

_HEADERS = {
    # Images and videos load from the platform's hosts; everything else from this server.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " img-src http: https:; media-src http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_may_read_connections = requires_access_connection("GET")


def _is_open_to_all_users() -> bool:
    """Return whether every signed-in user may see the page: ``[media] page_readers``."""
    readers = conf.get("media", "page_readers", fallback="connections").strip().lower()
    if readers not in {"connections", "signed_in"}:
        log.warning("[media] page_readers must be 'connections' or 'signed_in', not %r; using 'connections'", readers)
    return readers == "signed_in"


async def check_access(request: Request, user: GetUserDep) -> None:
    """Raise unless the user may see the page, and the connection of the route's path."""
    if not _is_open_to_all_users():
        checked: Any = _may_read_connections(request, user)
        if isawaitable(checked):  # Airflow 3.2 and later
            await checked


class _Json(JSONResponse):
    """JSON in ASCII, because a name truncated within an emoji cannot be encoded in UTF-8."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


app = FastAPI(
    title="Media Library",
    default_response_class=_Json,
    dependencies=[Depends(check_access)],
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


@app.exception_handler(HTTPException)
async def http_error_response(request: Request, error: HTTPException) -> Response:
    """Return JSON, or for 401 and 403 on the page itself an HTML page with a sign-in link or the missing permission."""
    content: dict[str, Any] = {"detail": error.detail}
    # A path, because the Host header is untrusted.
    root = request.scope.get("root_path", "")
    path = request.scope["path"].removeprefix(root) or "/"
    is_page = path in {"/", "/task"}
    title, message = "You may not open this page", _FORBIDDEN
    if error.status_code == 401:  # noqa: PLR2004 - HTTP status codes are clear
        query = f"?{request.url.query}" if is_page and request.url.query else ""
        content["sign_in"] = get_auth_manager().get_url_login(next_url=f"{root}{path if is_page else '/'}{query}")
        title = "You are not signed in"
        message = f'<a href="{html.escape(content["sign_in"])}" target="_top">Sign in to Airflow</a>'
    if is_page and error.status_code in {401, 403}:
        return _message_page(error.status_code, title, message, error.headers)
    return JSONResponse(content, error.status_code, error.headers)


def _message_page(status: int, title: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    nonce = secrets.token_urlsafe()
    page = (_PAGE / "denied.html").read_text(encoding="utf-8")
    for name, value in (("nonce", nonce), ("title", title), ("message", message)):
        page = page.replace(f"{{{{ {name} }}}}", value)
    policy = _HEADERS["Content-Security-Policy"].replace("style-src 'self'", f"style-src 'nonce-{nonce}'")
    return HTMLResponse(page, status, {**(headers or {}), "Content-Security-Policy": policy})


_FORBIDDEN = (
    "Your user lacks the permission to read connections (<em>can read on Connections</em>). Ask your administrator for"
    " it, or to set <code>[media] page_readers = signed_in</code>. The XComs of the task that uploaded a file"
    " contain its id, too."
)


@app.get("/")
async def page() -> Response:
    """Serve the static page; its scripts load the data."""
    return FileResponse(_PAGE / "index.html")


@app.get("/task")
def page_of_task(
    user: GetUserDep,
    session: SessionDep,
    dag: str,
    run: str,
    task: str,
    map_index: Annotated[str, Query(alias="map")] = "",
) -> Response:
    """Open the page at the file of a task, by the link in its XCom; Airflow 3.4 shows it as a tab of the task."""
    if not _may_read_tasks(dag, user):
        return _message_page(403, "You may not open this page", "Your user may not read the tasks of this DAG.")
    query = select(XComModel.value).where(
        XComModel.key == MediaLink.xcom_key,
        XComModel.dag_id == dag,
        XComModel.run_id == run,
        XComModel.task_id == task,
        XComModel.map_index
        == (int(map_index) if _MAP_INDEX.fullmatch(map_index) else -1),  # Airflow leaves {MAP_INDEX} as it is
    )
    link = urlsplit(str(session.scalar(query) or "")).query
    if not link:
        return _message_page(404, "No media", "This task has no file in the media library yet.")
    return RedirectResponse(f"./?{link}")


@app.get("/assets/{name}")
async def asset(name: str) -> Response:
    """Serve a script, stylesheet or icon of the page."""
    if name not in _ASSETS:
        raise HTTPException(404)
    return FileResponse(_ASSETS[name])


@app.get("/api/start")
def start(user: GetUserDep, session: SessionDep) -> dict[str, Any]:
    """List the media connections in Airflow's database and environment that the user may see on this page."""
    manager = get_auth_manager()
    is_open = _is_open_to_all_users()

    def may_read(conn_id: str) -> bool:
        details = ConnectionDetails(conn_id=conn_id)
        return is_open or manager.is_authorized_connection(method="GET", details=details, user=user)

    query = select(Connection.conn_id, Connection.description).where(
        func.lower(Connection.conn_type) == CONNECTION_TYPE
    )
    rows = session.execute(query).all()
    if hasattr(manager, "get_authorized_connections") and not is_open:  # checks teams too; Airflow 3.2 and later
        readable = manager.get_authorized_connections(user=user, method="GET", session=session)
    else:
        readable = {row.conn_id for row in rows if may_read(row.conn_id)}
    found = {row.conn_id: row.description for row in rows if row.conn_id in readable}
    for conn_id in _environment_connections():
        if conn_id not in found and may_read(conn_id):
            found[conn_id] = None
    connections = [{"id": conn_id, "description": description} for conn_id, description in sorted(found.items())]
    return {"host": "airflow", "connections": connections}


def _environment_connections() -> list[str]:
    """Return the ids of the media connections defined in this process's environment."""
    backend, found = EnvironmentVariablesBackend(), []
    for conn_id in [name[len(_PREFIX) :].lower() for name in os.environ if name.startswith(_PREFIX)]:
        with suppress(Exception):  # Airflow cannot parse such a value either
            connection: Any = backend.get_connection(conn_id)
            if connection.conn_type.lower() == CONNECTION_TYPE:
                found.append(conn_id)
    return found


@app.get("/api/library/{connection_id:path}")
async def library(
    connection_id: str,
    part: Annotated[int, Query(ge=0, le=100_000)] = 0,
    fresh: bool = False,  # noqa: FBT001, FBT002 - a query parameter
) -> Response:
    """Return part of a library, as soon as the Media API has returned it."""
    max_age = _MIN_REFRESH_SECONDS if fresh else CACHE_SECONDS
    return Response(await libraries.part(connection_id, part, max_age=max_age), media_type="application/json")


@app.get("/api/entry/{connection_id:path}")
async def entry(connection_id: str, media: Annotated[str, Query(min_length=1, max_length=200)]) -> dict[str, Any]:
    """Return all fields of one file."""
    return as_json(await libraries.entry(connection_id, media), all_fields=True)


@app.get("/api/uses/{connection_id:path}")
def uses(
    connection_id: str,
    media: Annotated[str, Query(min_length=1, max_length=200)],
    user: GetUserDep,
    session: SessionDep,
) -> list[dict[str, Any]]:
    """Return the newest uses of a file, by the links in XComs, only of DAGs whose tasks the user may read.

    The query uses the index of XCom keys: links are few among a deployment's XComs.
    """
    link = f"?{urlencode({'connection': connection_id, 'media': media})}"
    columns = (XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.map_index, XComModel.timestamp)
    query = (
        select(*columns, XComModel.value)
        .where(
            XComModel.key == MediaLink.xcom_key,
            XComModel.timestamp >= datetime.now(UTC) - timedelta(days=_MAX_USE_DAYS),
            XComModel.dag_id.in_(get_auth_manager().get_authorized_dag_ids(user=user, session=session)),
            # The value is the URL in quotes; the quote ends the id, so that 17 does not match 170.
            cast(XComModel.value, String).endswith(f'{link}"', autoescape=True),
        )
        .order_by(XComModel.timestamp.desc())
        .limit(_MAX_USES)
    )
    rows = [row for row in session.execute(query) if str(row.value).endswith(link)]  # SQLite ignores case
    readable = {dag_id for dag_id in {row.dag_id for row in rows} if _may_read_tasks(dag_id, user)}
    return [
        {"dag": row.dag_id, "run": row.run_id, "task": row.task_id, "map_index": row.map_index}
        | {"at": row.timestamp.isoformat(), "path": _task_path(row)}
        for row in rows
        if row.dag_id in readable
    ]


def _may_read_tasks(dag_id: str, user: Any) -> bool:
    return get_auth_manager().is_authorized_dag(
        method="GET", access_entity=DagAccessEntity.TASK_INSTANCE, details=DagDetails(id=dag_id), user=user
    )


def _task_path(row: Any) -> str:
    """Return the path of a task instance in Airflow's UI."""
    dag, run, task = (quote(part, safe="") for part in (row.dag_id, row.run_id, row.task_id))
    mapped = f"/mapped/{row.map_index}" if row.map_index >= 0 else ""
    return f"dags/{dag}/runs/{run}/tasks/{task}{mapped}"

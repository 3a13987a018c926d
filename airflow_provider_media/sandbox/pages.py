"""Pages for browsers: the Media Library page of the Airflow plugin, and the files."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse

from airflow_provider_media.sandbox.settings import DEFAULT_API_KEY, MEDIA_PATH

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from airflow_provider_media.sandbox.dialect import Dialect
    from airflow_provider_media.sandbox.library import Library, StoredMedia

_PAGE = Path(__file__).parents[1] / "plugins" / "page"
"""The files of the page; its scripts load the data from this module's routes."""

_ASSETS = {file.name: file for file in _PAGE.iterdir() if file.suffix in {".css", ".js", ".svg"}}
_FILES_PER_PART = 1000
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def library_page(request: Request) -> Response:
    """Serve the static page."""
    base_url = request.app.state.dialect.base_url
    policy = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' {base_url};"
        f" media-src 'self' {base_url}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", **_HEADERS}
    return FileResponse(_PAGE / "index.html", headers=headers)


def page_asset(request: Request) -> Response:
    """Serve a script, stylesheet or icon of the page."""
    path = _ASSETS.get(request.path_params["name"])
    if path is None:
        raise HTTPException(404, "File not found.")
    return FileResponse(path, headers=_HEADERS)


def page_start(request: Request) -> Response:
    """Return the page's only connection, and a command that uploads a file."""
    settings = request.app.state.settings
    key = DEFAULT_API_KEY if settings.api_key == DEFAULT_API_KEY else "YOUR-KEY"
    url = f"{request.app.state.dialect.base_url}{MEDIA_PATH}"
    command = f'curl -H "X-Api-Key: {key}" -F file=@image.jpg -F name="Spring sale" {url}'
    return JSONResponse({"host": "sandbox", "connections": [{"id": "sandbox"}], "command": command})


def page_library(request: Request) -> Response:
    """Return up to 1,000 files, newest first, in the format of the plugin's route."""
    text = request.query_params.get("part", "0")
    part = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    library: Library = request.app.state.library
    media, count = library.page(offset=part * _FILES_PER_PART, limit=_FILES_PER_PART, order_by="id", descending=True)
    items = [_page_entry(each, request.app.state.dialect) for each in media]
    has_more = (part + 1) * _FILES_PER_PART < count
    return JSONResponse({"items": items, "total": count, "more": has_more, "incomplete": None})


def page_entry(request: Request) -> Response:
    """Return one file, in the format of the plugin's route."""
    media = find_media(request, request.query_params.get("media", ""))
    return JSONResponse(_page_entry(media, request.app.state.dialect))


def find_media(request: Request, media_id: str) -> StoredMedia:
    """Find a file by its public id."""
    state = request.app.state
    media: StoredMedia | None = state.library.find(state.dialect.parse_id(media_id))
    if media is None:
        raise media_not_found(media_id)
    return media


def media_not_found(media_id: str) -> HTTPException:
    """Return the error for an id without a file."""
    return HTTPException(404, f"The library has no file with the id {media_id}.")


def _page_entry(media: StoredMedia, dialect: Dialect) -> dict[str, Any]:
    shown = asdict(media) | {"id": str(dialect.shown_id(media)), "url": dialect.base_url + dialect.file_path(media)}
    shown["folder_id"] = None if media.folder_id is None else str(media.folder_id)
    del shown["text_id"]
    return shown


def stored_file(request: Request) -> Response:
    """Serve a file's bytes; no API key is needed, because the URLs are public preview links."""
    media = find_media(request, request.path_params["media_id"])
    library: Library = request.app.state.library
    if not library.path_of(media).is_file():  # deleted a moment ago
        raise media_not_found(request.path_params["media_id"])
    if "," in request.headers.get("range", ""):  # multiple ranges are slow before starlette 0.49.1 (CVE-2025-62727)
        raise HTTPException(416, "Multiple ranges are not supported.")
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
    return FileResponse(library.path_of(media), media_type=media.mime_type, headers=headers)

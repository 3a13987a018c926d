"""Pages for browsers: the library page, the files, and the OpenAPI contract."""

from __future__ import annotations

import math
import re
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, HTMLResponse, Response

from airflow_provider_media.sandbox.errors import ApiError
from airflow_provider_media.sandbox.settings import MEDIA_PATH

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_media.sandbox.dialect import Dialect
    from airflow_provider_media.sandbox.library import Library, StoredMedia

_FOLDER = Path(__file__).parent
_CARDS_PER_PAGE = 60
_BYTES_PER_UNIT = 1000
_NEXT_UNIT_FROM = 999.5  # rounds to 1000

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
)


async def library_page(request: Request) -> Response:
    """Show the library, newest first."""
    library: Library = request.app.state.library
    page = _page_number(request.query_params.get("page", "1"))
    media, count, size = await run_in_threadpool(
        library.page,
        offset=(page - 1) * _CARDS_PER_PAGE,
        limit=_CARDS_PER_PAGE,
        order_by="id",
        descending=True,
    )
    nonce = secrets.token_urlsafe()
    html = _TEMPLATES.get_template("library.html").render(
        cards=media,
        dialect=request.app.state.dialect,
        count=count,
        size=size,
        page=page,
        pages=max(1, math.ceil(count / _CARDS_PER_PAGE)),
        upload_url=f"{request.app.state.dialect.base_url}{MEDIA_PATH}",
        human_size=human_size,
        nonce=nonce,
    )
    policy = (
        f"default-src 'none'; img-src 'self'; media-src 'self'; style-src 'nonce-{nonce}'; "
        f"script-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(html, headers=headers)


async def stored_file(request: Request) -> Response:
    """Serve a file's bytes; no API key is needed, because the URLs are public preview links."""
    dialect: Dialect = request.app.state.dialect
    library: Library = request.app.state.library
    media: StoredMedia | None = await run_in_threadpool(library.find, dialect.parse_id(request.path_params["media_id"]))
    if media is None or not library.path_of(media).is_file():
        raise ApiError(HTTPStatus.NOT_FOUND, "File not found.")
    if "," in request.headers.get("range", ""):  # multiple ranges are slow before starlette 0.49.1 (CVE-2025-62727)
        raise ApiError(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "Multiple ranges are not supported.")
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
    return FileResponse(library.path_of(media), media_type=media.mime_type, headers=headers)


async def contract(_request: Request) -> Response:
    """Serve the OpenAPI contract."""
    return Response((_FOLDER / "openapi.yaml").read_bytes(), media_type="application/yaml")


async def favicon(_request: Request) -> Response:
    """Return an empty response: there is no icon."""
    return Response(status_code=HTTPStatus.NO_CONTENT)


def human_size(size: int) -> str:
    """Format a number of bytes with three digits: 999 B, 1.54 MB."""
    amount = float(size)
    units = ["B", "kB", "MB", "GB", "TB"]
    while amount >= _NEXT_UNIT_FROM and len(units) > 1:
        amount /= _BYTES_PER_UNIT
        units.pop(0)
    return f"{amount:.3g} {units[0]}"


def _page_number(text: str) -> int:
    return int(text) if re.fullmatch("[1-9][0-9]{0,9}", text) else 1

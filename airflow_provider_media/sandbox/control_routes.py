"""``/_sandbox``: how tests ask for faults, look at what was called, and change the library past all faults.

No key: the sandbox listens on loopback only.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from starlette.concurrency import run_in_threadpool
from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse, Response

from airflow_provider_media.sandbox.errors import ProblemError
from airflow_provider_media.sandbox.faults import read_fault
from airflow_provider_media.sandbox.library import SORT_COLUMNS
from airflow_provider_media.sandbox.media_routes import MediaCollection

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_media.sandbox.dialect import Dialect
    from airflow_provider_media.sandbox.library import Library

_ALL = -1  # no limit, in SQLite


class Faults(HTTPEndpoint):
    """``/_sandbox/faults``."""

    async def post(self, request: Request) -> Response:
        """Queue a fault; the answer shows it with its defaults."""
        try:
            fault = read_fault(json.loads(await request.body(), parse_constant=_refuse_constant))
        except ValueError as error:  # a FaultError, or JSON that is malformed or not UTF-8
            raise ProblemError(HTTPStatus.BAD_REQUEST, f"Not a fault: {error}") from error
        request.app.state.faults.add(fault)
        return JSONResponse(fault.to_dict(), status_code=HTTPStatus.CREATED)

    async def get(self, request: Request) -> Response:
        """Tell the faults still to strike."""
        return JSONResponse(request.app.state.faults.to_list())

    async def delete(self, request: Request) -> Response:
        """Call all faults off."""
        request.app.state.faults.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)


class Requests(HTTPEndpoint):
    """``/_sandbox/requests``."""

    async def get(self, request: Request) -> Response:
        """Tell the calls since the start or the last clearing, oldest first."""
        return JSONResponse(request.app.state.journal.to_list())

    async def delete(self, request: Request) -> Response:
        """Forget the calls so far."""
        request.app.state.journal.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)


class Contents(MediaCollection):
    """``/_sandbox/library``: a POST stores a file as that of the API does; no fault strikes, no limit counts."""

    async def get(self, request: Request) -> Response:
        """Tell all that the library holds, oldest first."""
        library: Library = request.app.state.library
        dialect: Dialect = request.app.state.dialect
        entries, _, _ = await run_in_threadpool(
            library.page, offset=0, limit=_ALL, order_by=SORT_COLUMNS["id"], descending=False
        )
        return JSONResponse([dialect.media(media) for media in entries])


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value.")

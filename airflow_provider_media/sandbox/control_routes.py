"""``/_sandbox``: how tests ask for faults and look at what was called. No key: the sandbox listens on loopback only."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from starlette.endpoints import HTTPEndpoint
from starlette.responses import JSONResponse, Response

from airflow_provider_media.sandbox.faults import read_fault
from airflow_provider_media.sandbox.problems import ProblemError

if TYPE_CHECKING:
    from starlette.requests import Request


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


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value.")

"""The error answers of the Media API, all of one shape: ``{"status", "error", "message"}``."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


class ProblemError(Exception):
    """A request that is refused.

    :param status: the HTTP status of the answer.
    :param message: one sentence for the caller.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def problem_body(status: int, message: str) -> dict[str, Any]:
    """Put the documented error body together.

    :param status: any HTTP status, also one without a standard name.
    :param message: one sentence for the caller.
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return {"status": status, "error": phrase, "message": message}


def problem_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Answer with an error."""
    return JSONResponse(problem_body(status, message), status_code=status, headers=headers)


async def answer_problem(_request: Request, error: Exception) -> Response:
    """Turn a :class:`ProblemError` into its answer."""
    if not isinstance(error, ProblemError):
        raise error
    return problem_response(error.status, error.message)


async def answer_no_route(request: Request, _error: Exception) -> Response:
    """Answer a path that nothing is at."""
    return problem_response(HTTPStatus.NOT_FOUND, f"There is nothing at {request.url.path}.")


async def answer_wrong_method(request: Request, error: Exception) -> Response:
    """Answer a method that the path does not take; ``Allow`` names those it does."""
    headers = getattr(error, "headers", None)
    return problem_response(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method} is not possible here.", headers)


async def answer_defect(_request: Request, _error: Exception) -> Response:
    """Answer an error of the sandbox itself, whose traceback the server logs."""
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "The sandbox has a defect: its log has the traceback.")


async def answer_nobody(_request: Request, _error: Exception) -> Response:
    """End the handling of a call whose client is gone; this response reaches no one."""
    return Response()

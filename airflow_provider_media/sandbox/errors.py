"""Error responses of the Media API: ``{"status", "error", "message"}``."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


class ApiError(Exception):
    """A request is rejected."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def error_body(status: int, message: str) -> dict[str, Any]:
    """Build the documented error body."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return {"status": status, "error": phrase, "message": message}


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Build an error response."""
    return JSONResponse(error_body(status, message), status_code=status, headers=headers)


async def api_error_response(_request: Request, error: Exception) -> Response:
    """Convert an :class:`ApiError` to a response."""
    if not isinstance(error, ApiError):
        raise error
    return error_response(error.status, error.message)


async def not_found_response(request: Request, _error: Exception) -> Response:
    """Return 404 for an unknown path."""
    return error_response(HTTPStatus.NOT_FOUND, f"Path not found: {request.url.path}")


async def method_not_allowed_response(request: Request, error: Exception) -> Response:
    """Return 405 with the allowed methods in ``Allow``."""
    headers = getattr(error, "headers", None)
    return error_response(HTTPStatus.METHOD_NOT_ALLOWED, f"Method {request.method} is not allowed.", headers)


async def internal_error_response(_request: Request, _error: Exception) -> Response:
    """Return 500 for a bug in the sandbox; the server logs the traceback."""
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "Bug in the sandbox. Its log contains the traceback.")


async def disconnected_response(_request: Request, _error: Exception) -> Response:
    """Return an empty response that is never sent, because the client has disconnected."""
    return Response()

"""Log of the requests that the sandbox received, for tests."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

_MAX_REQUESTS = 10_000


@dataclass(slots=True, kw_only=True)
class LoggedRequest:
    """One request and its outcome.

    :param status: the HTTP status sent; None before the response, or if the connection was dropped.
    :param body_bytes: number of bytes read from the request body.
    :param started_at: Unix time in seconds.
    """

    method: str
    path: str
    query: str
    status: int | None = None
    body_bytes: int = 0
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started_at: float = field(default_factory=time.time)


class RequestLog:
    """The newest requests, oldest first. A request is added when it starts and updated until it ends."""

    def __init__(self) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=_MAX_REQUESTS)

    def add(self, request: LoggedRequest) -> None:
        """Add a request."""
        self._requests.append(request)

    def clear(self) -> None:
        """Remove all requests."""
        self._requests.clear()

    def to_list(self) -> list[dict[str, Any]]:
        """Return all requests as JSON-serializable values."""
        return [asdict(request) for request in self._requests]

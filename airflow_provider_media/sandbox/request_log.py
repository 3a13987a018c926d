"""What was asked of the sandbox, for tests to look at."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

_LONGEST = 10_000


@dataclass(slots=True, kw_only=True)
class Call:
    """One call.

    :param status: the status that was sent; None while there is none, and for good when the connection was dropped.
    :param body_bytes: how much of the request's body was read.
    :param started_at: Unix time in seconds.
    """

    method: str
    path: str
    query: str
    status: int | None = None
    body_bytes: int = 0
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started_at: float = field(default_factory=time.time)


class Journal:
    """The newest calls, oldest first. A call stands there from its start on and is filled in as it goes."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=_LONGEST)

    def add(self, call: Call) -> None:
        """Note a call that begins."""
        self._calls.append(call)

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()

    def to_list(self) -> list[dict[str, Any]]:
        """Tell all calls as JSON values."""
        return [asdict(call) for call in self._calls]

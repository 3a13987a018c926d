"""Waiting of retries and rate limits, in one module, so that tests can skip it; and the timer of time limits.

Callers use the functions as attributes of this module. Timeouts of connections and responses use the real clock.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def now() -> float:
    """Return monotonic seconds."""
    return time.monotonic()


def wait(seconds: float, stopped: threading.Event) -> bool:
    """Wait for the given time or until the event is set; return whether it is set.

    :param seconds: the max wait.
    :param stopped: ends the wait early.
    """
    return stopped.wait(seconds)


async def sleep(seconds: float) -> None:
    """Wait on the event loop for the given seconds."""
    await asyncio.sleep(seconds)


class CancelTimer:
    """Cancels an operation after a time limit, in a ``with`` block.

    :param seconds: the time limit, from the start of the block.
    :param cancel: called in another thread when the time has passed.
    """

    def __init__(self, seconds: float, cancel: Callable[[], None]) -> None:
        self.has_fired = False
        self._cancel = cancel
        self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._fire)
        self._timer.daemon = True

    def _fire(self) -> None:
        self.has_fired = True
        self._cancel()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # because the timer may be firing right now

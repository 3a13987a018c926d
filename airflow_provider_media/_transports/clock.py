"""Waiting of retries and rate limits, in one module, so that tests can skip it.

Callers use the functions as attributes of this module. Timeouts of connections and responses use the real clock.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading


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

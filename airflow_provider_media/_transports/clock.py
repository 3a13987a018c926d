"""How retries, pauses and paces wait, and by which clock; in one place, so that tests can take the waiting out of it.

Callers use the functions as attributes of this module. Time-outs of connections and answers go by the real clock.
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
    """Wait, or until the event is set; tell whether it is.

    :param seconds: how long.
    :param stopped: ends the wait.
    """
    return stopped.wait(seconds)


async def sleep(seconds: float) -> None:
    """Wait on the event loop.

    :param seconds: how long.
    """
    await asyncio.sleep(seconds)

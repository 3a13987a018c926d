"""Waiting for what a test knows will come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    """Wait until a condition holds.

    :raises TimeoutError: it does not come to hold.
    """
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens elsewhere, and tells nobody
            await asyncio.sleep(0.01)

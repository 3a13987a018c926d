"""Waiting that a stopping server can end."""

from __future__ import annotations

import asyncio


class Pauses:
    """All waits of one sandbox; when it stops they end at once, so that it need not wait for them."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until the sandbox stops."""
        try:
            await asyncio.wait_for(self._ended.wait(), timeout=seconds)
        except TimeoutError:
            return

    def end_all(self) -> None:
        """End every wait, also those still to come."""
        self._ended.set()

"""Delays that end when the sandbox stops."""

from __future__ import annotations

import asyncio


class Delays:
    """All delays of a sandbox, so that a stopping sandbox can cancel them."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for the given time, or until the sandbox stops."""
        try:
            await asyncio.wait_for(self._ended.wait(), timeout=seconds)
        except TimeoutError:
            return

    def cancel_all(self) -> None:
        """End all current and future delays."""
        self._ended.set()

"""Run event triggers and collect their events."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_media.triggers.events import MediaEventTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

INTERVAL = 0.05


class Store:
    """Airflow's asset state store, in memory, as JSON."""

    def __init__(self, failures: int = 0) -> None:
        self.kept: dict[str, str] = {}
        self.failures = failures

    async def aget(self, key: str, default: Any = None) -> Any:
        self._fail()
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        self._fail()
        self.kept[key] = json.dumps(value)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("The supervisor does not respond.")


async def until(is_so: Callable[[], object]) -> None:
    """Wait for a condition; raise TimeoutError if it stays false."""
    for _ in range(400):
        if await asyncio.to_thread(is_so):
            return
        await asyncio.sleep(INTERVAL)
    raise TimeoutError


class Watcher:
    """A running trigger, and the names of the files in its events."""

    def __init__(self, trigger: Any) -> None:
        self.trigger = trigger
        self.names: list[str] = []
        self.given_at: list[float] = []

    async def run(self) -> None:
        async for event in self.trigger.run():
            self.names.append(event.payload["name"])
            self.given_at.append(time.monotonic())

    async def sees(self, *names: str) -> None:
        """Wait for the events of these files."""
        await until(lambda: not set(names) - set(self.names))


@asynccontextmanager
async def watching(store: Store, **arguments: Any) -> AsyncIterator[Watcher]:
    """Run a trigger, from its first poll until the end of the context."""
    trigger = MediaEventTrigger(**{"media_conn_id": "media_1", "poll_interval": INTERVAL, **arguments})
    trigger.asset_state_store = store
    watcher = Watcher(trigger)
    task = asyncio.create_task(watcher.run())
    await until(lambda: store.kept)
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait({task})

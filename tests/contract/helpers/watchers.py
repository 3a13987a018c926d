"""Event triggers that run, and what they gave."""

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
    """Airflow's asset state store, in memory; what it keeps is JSON."""

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
            raise RuntimeError("The supervisor does not answer.")


async def until(is_so: Callable[[], object]) -> None:
    """Wait for a condition; fail when it does not come about."""
    for _ in range(400):
        if await asyncio.to_thread(is_so):
            return
        await asyncio.sleep(INTERVAL)
    raise TimeoutError


class Watcher:
    """A trigger that runs, and the names of the files in its events."""

    def __init__(self, trigger: Any) -> None:
        self.trigger = trigger
        self.names: list[str] = []
        self.given_at: list[float] = []

    async def run(self) -> None:
        async for event in self.trigger.run():
            self.names.append(event.payload["name"])
            self.given_at.append(time.monotonic())

    async def sees(self, *names: str) -> None:
        """Wait for events; fail when they do not come."""
        await until(lambda: not set(names) - set(self.names))


@asynccontextmanager
async def watching(store: Store, **arguments: Any) -> AsyncIterator[Watcher]:
    """Run a trigger until it has begun to watch; cancel it in the end."""
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

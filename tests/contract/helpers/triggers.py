"""Run triggers on one event loop, as a triggerer does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_provider_media.triggers import _poller
from airflow_provider_media.triggers.media import MediaExistsTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_media.triggers._poller import Poller


def start(conn_id: str, **arguments: Any) -> asyncio.Task[dict[str, Any]]:
    """Run a trigger; the task's result is its one event."""

    async def run() -> dict[str, Any]:
        trigger = MediaExistsTrigger(media_conn_id=conn_id, **{"poll_interval": 0.1, **arguments})
        [event] = [event async for event in trigger.run()]
        payload: dict[str, Any] = event.payload
        return payload

    return asyncio.ensure_future(run())


async def stop(waiting: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel triggers, as a triggerer does, and wait for their end."""
    for task in (tasks := list(waiting)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def pollers() -> dict[str, Poller]:
    """Return the pollers of the running loop, by connection."""
    return dict(_poller._pollers.get(asyncio.get_running_loop(), {}))


def polls(conn_id: str) -> int:
    """Return the number of polls of the oldest subscription."""
    poller = pollers().get(conn_id)
    return max((each.polls for each in poller.subscriptions), default=0) if poller else 0

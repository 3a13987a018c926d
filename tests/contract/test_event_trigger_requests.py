"""The requests of event triggers, counted by the sandbox: during outages, and for missed files."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.triggers import _poller

events = pytest.importorskip("airflow_provider_media.triggers.events", reason="Airflow 2 has no event triggers",
                             exc_type=ImportError)  # fmt: skip

from tests.contract.helpers.watchers import Store, Watcher, until  # noqa: E402 - imports the trigger, as above

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.contract.helpers.sandbox_library import SandboxLibrary

pytestmark = pytest.mark.usefixtures("quick_polls")

PNG = b"\x89PNG\r\n\x1a\n"
INTERVAL = 0.1
POLLS = 4
OBSERVED_SECONDS = 1.5
CLOCK_TOLERANCE = 0.9  # sleeps and timestamps are of different clocks
PAGE = 10
MISSED = 25
AN_HOUR = 3600


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_poller, "MIN_INTERVAL_SECONDS", 0.05)


async def watch_until(is_so: Callable[[], object], conn_id: str, *, seconds_more: float = 0) -> None:
    """Run a trigger until a condition is true. Its first poll may take seconds, because it imports what Airflow needs.

    :param seconds_more: how much longer it runs.
    """
    trigger = events.MediaEventTrigger(media_conn_id=conn_id, poll_interval=INTERVAL)
    task = asyncio.create_task(Watcher(trigger).run())
    try:
        await until(is_so)
        await asyncio.sleep(seconds_more)
    finally:
        task.cancel()
        await asyncio.wait({task})


def moments(library: SandboxLibrary) -> list[float]:
    return [call["started_at"] for call in library.journal()]


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("status", {"status": 500}),
        ("status", {"status": 401}),
        ("status", {"status": 429, "headers": {"Retry-After": "0"}}),
        ("reset_before_body", {}),
        ("cut_answer", {}),
        ("status", {"status": 200, "body": "nonsense"}),
    ],
)
def test_trigger_sleeps_between_polls_during_an_outage(
    define: Any, library: SandboxLibrary, fault: str, options: dict[str, Any]
) -> None:
    conn_id = define(max_attempts=1)
    library.fail(fault, "GET", times=9999, **options)
    asyncio.run(watch_until(lambda: len(moments(library)) >= POLLS, conn_id))
    first, *_, last = moments(library)[:POLLS]
    assert last - first >= (POLLS - 1) * INTERVAL * CLOCK_TOLERANCE


def test_trigger_sleeps_if_connections_are_refused(define: Any, caplog: pytest.LogCaptureFixture) -> None:
    def polls() -> list[float]:
        return [line.created for line in caplog.records if line.message.startswith("Poll for new media failed")]

    with caplog.at_level(logging.WARNING):
        asyncio.run(watch_until(lambda: len(polls()) >= POLLS, define(host="http://127.0.0.1:9", max_attempts=1)))
    first, *_, last = polls()[:POLLS]
    assert last - first >= (POLLS - 1) * INTERVAL * CLOCK_TOLERANCE


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("attempts", [1, 3])
def test_long_retry_after_is_obeyed(define: Any, library: SandboxLibrary, status: int, attempts: int) -> None:
    conn_id = define(max_attempts=attempts)
    library.fail("status", "GET", status=status, headers={"Retry-After": str(AN_HOUR)}, times=9999)
    asyncio.run(watch_until(lambda: moments(library), conn_id, seconds_more=3 * INTERVAL))
    assert len(moments(library)) == 1


def test_trigger_polls_again_after_retry_after(define: Any, library: SandboxLibrary) -> None:
    conn_id = define(max_attempts=1)
    library.fail("status", "GET", status=429, headers={"Retry-After": "1"})
    asyncio.run(watch_until(lambda: len(moments(library)) > 1, conn_id))
    first, second = moments(library)[:2]
    assert second - first >= 1


# --- missed files --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def sharing(conn_id: str, stores: dict[str, Store], *, interval: float) -> AsyncIterator[list[Watcher]]:
    """Run triggers for names as Airflow 3.3 does: one poll for all."""
    stream = pytest.importorskip("airflow.triggers.shared_stream", reason="new in Airflow 3.3")
    manager = stream.SharedStreamManager()
    watchers = []
    for name, store in stores.items():
        trigger = events.MediaEventTrigger(media_conn_id=conn_id, name=name, poll_interval=interval)
        trigger.asset_state_store = store
        watchers.append(Watcher(trigger))

    async def run(number: int, watcher: Watcher) -> None:
        key = watcher.trigger.shared_stream_key()
        shared = manager.subscribe(trigger_id=number, trigger=watcher.trigger, key=key)
        async for event in watcher.trigger.filter_shared_stream(shared):
            watcher.names.append(event.payload["name"])

    tasks = [asyncio.create_task(run(number, watcher)) for number, watcher in enumerate(watchers)]
    try:
        yield watchers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await manager.stop_all()


async def left_behind(conn_id: str, library: SandboxLibrary) -> dict[str, Store]:
    """Start two watchers, and add pages of files while no triggerer runs; return the stores."""
    stores = {"summer-*": Store(), "winter-*": Store()}
    async with sharing(conn_id, stores, interval=AN_HOUR):
        await until(lambda: all(store.kept for store in stores.values()))
    for number in range(MISSED):
        await asyncio.to_thread(library.store, f"{'summer' if number % 2 else 'winter'}-{number}", PNG)
    library.forget()
    return stores


@pytest.fixture
def missing(define: Any, library: SandboxLibrary) -> str:
    """A connection to a library with existing files."""
    for number in range(2 * PAGE):
        library.store(f"old-{number}", PNG)
    return str(define(max_attempts=1))


def test_missed_files_are_listed_once_for_all_watchers(missing: str, library: SandboxLibrary) -> None:
    async def scenario() -> int:
        stores = await left_behind(missing, library)
        async with sharing(missing, stores, interval=AN_HOUR) as (summer, winter):
            await summer.sees(*(f"summer-{number}" for number in range(1, MISSED - 2, 2)))
            await winter.sees(*(f"winter-{number}" for number in range(0, MISSED - 2, 2)))
        return sum(len(watcher.names) for watcher in (summer, winter))

    assert asyncio.run(scenario()) == MISSED - 2  # the last of each is held
    # The first poll takes two requests, and half a page is read beyond the missed files.
    assert library.count("GET") == 2 + -(-(MISSED + PAGE // 2 + 1) // PAGE)


def test_poll_for_missed_files_obeys_retry_after(missing: str, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        stores = await left_behind(missing, library)
        busy = {"status": 429, "headers": {"Retry-After": str(AN_HOUR)}}
        library.fail("status", "GET", skip=2, times=9999, **busy)  # after the first poll and the next one
        async with sharing(missing, stores, interval=INTERVAL):
            await until(lambda: 429 in {call["status"] for call in library.journal()})
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), OBSERVED_SECONDS)

    asyncio.run(scenario())
    assert [call["status"] for call in library.journal()].count(429) == 1
    assert library.journal()[-1]["status"] == 429


def test_request_for_missed_files_does_not_shorten_retry_after(missing: str, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        stream = events._poll(missing, INTERVAL)
        _, depth = await anext(stream)
        library.forget()
        library.fail("status", "GET", status=429, headers={"Retry-After": str(AN_HOUR)}, times=9999)
        next_poll = asyncio.ensure_future(anext(stream))
        await until(library.journal)
        depth.request(0, "id")
        await asyncio.wait({next_poll}, timeout=OBSERVED_SECONDS)
        next_poll.cancel()
        await asyncio.wait({next_poll})

    asyncio.run(scenario())
    assert len(moments(library)) == 1

"""A trigger that ends or is cancelled leaves no resources behind, and does not affect others."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._polling.criteria import WaitCriteria
from airflow_provider_media.triggers import _poller
from airflow_provider_media.triggers._poller import PollPolicy, Subscription
from tests.contract.helpers.sockets import connections_to
from tests.contract.helpers.triggers import pollers, polls, start, stop
from tests.contract.helpers.until import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.contract.helpers.sandbox_library import SandboxLibrary

pytestmark = pytest.mark.usefixtures("quick_polls")

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> Iterator[None]:
    """Freeze the heap, so that the collector visits the objects of these tests only."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_records(caplog: pytest.LogCaptureFixture) -> None:
    """Record no log, because the records reference objects."""
    caplog.set_level(logging.CRITICAL, "airflow_provider_media")


def leaves_nothing(library: SandboxLibrary, scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario; assert that no task, socket, entry or object remains."""

    async def main() -> None:
        await scenario()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert pollers() == {}
        assert connections_to(library.sandbox.port) <= before

    gc.collect()
    before = connections_to(library.sandbox.port)  # of other tests
    asyncio.run(main())
    gc.collect()
    assert not any(_poller._pollers.values())
    # By type(), because lazy proxies of other packages resolve in isinstance().
    assert not [thing for thing in gc.get_objects() if type(thing) in (Subscription, _poller.Poller)]


def test_successful_trigger_leaves_nothing(define: Any, library: SandboxLibrary) -> None:
    media_id = library.store("a", PNG)

    async def scenario() -> None:
        assert (await start(define(), media_ids=[media_id]))["status"] == "found"

    leaves_nothing(library, scenario)


def test_failed_trigger_leaves_nothing(define: Any, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        assert (await start(define("a-wrong-key"), media_ids=[1]))["status"] == "failed"

    leaves_nothing(library, scenario)


def test_trigger_at_its_deadline_leaves_nothing(define: Any, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        event = await start(define(), media_ids=[901], deadline="2026-01-01T00:00:00+00:00")
        assert event["status"] == "deadline"

    leaves_nothing(library, scenario)


def test_trigger_cancelled_between_polls_leaves_nothing(define: Any, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        waiting = [start(define(), media_ids=[901 + number], poll_interval=60) for number in range(20)]
        await until(lambda: polls("media_async") == 1)
        assert connections_to(library.sandbox.port)
        await stop(waiting)

    leaves_nothing(library, scenario)


def test_trigger_cancelled_before_its_first_poll_leaves_nothing(define: Any, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        waiting = start(define(), media_ids=[901])
        await asyncio.sleep(0)
        await stop([waiting])

    leaves_nothing(library, scenario)
    assert library.journal() == []


def test_trigger_cancelled_during_a_request_leaves_nothing(define: Any, library: SandboxLibrary) -> None:
    library.fail("slow", "GET", delay_seconds=5)
    started = time.monotonic()

    async def scenario() -> None:
        waiting = start(define(), media_ids=[901])
        await until(library.journal)
        await stop([waiting])

    leaves_nothing(library, scenario)
    assert time.monotonic() - started < 5


def test_trigger_cancelled_before_a_retry_leaves_nothing(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=429, headers={"Retry-After": "60"}, times=9)

    async def scenario() -> None:
        waiting = start(define(), media_ids=[901])
        await until(library.journal)
        await stop([waiting])

    leaves_nothing(library, scenario)


def test_cancelled_trigger_does_not_affect_others(define: Any, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        conn_id = define()
        waiting = [start(conn_id, media_ids=[901 + number]) for number in range(10)]
        patient = start(conn_id, names=["late"])
        await until(lambda: polls(conn_id) >= 1)
        poller = pollers()[conn_id]
        await stop(waiting)
        assert pollers() == {conn_id: poller}
        media_id = library.store("late", PNG)
        event = await patient
        assert event["found"]["late"][0]["id"] == media_id

    leaves_nothing(library, scenario)


def test_trigger_after_the_last_one_gets_a_new_poller(define: Any, library: SandboxLibrary) -> None:
    media_id = library.store("a", PNG)

    async def scenario() -> None:
        for _ in range(3):
            assert (await start(define(), media_ids=[media_id]))["status"] == "found"

    leaves_nothing(library, scenario)
    assert library.count("GET") >= 3


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
def test_stopped_poller_fails_its_waits_and_is_replaced(
    define: Any, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def record_poll(*_: Any, **__: Any) -> None:
        raise error

    media_id = library.store("a", PNG)

    async def scenario() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Subscription, "record_poll", record_poll)
            lingering = Subscription(criteria=WaitCriteria(ids=("901",)), interval=60, policy=PollPolicy())
            async with asyncio.timeout(20), _poller.subscribe(define(), lingering):
                for event in await asyncio.gather(*(start("media_async", media_ids=[901]) for _ in range(3))):
                    assert (event["status"], event["error"]) == ("failed", "MediaError")
                    assert "The shared poll of the connection stopped" in event["message"]
                patched.undo()
                assert (await start("media_async", media_ids=[media_id]))["status"] == "found"
        assert lingering.error

    leaves_nothing(library, scenario)


def test_many_triggers_do_not_block_the_event_loop(define: Any, library: SandboxLibrary) -> None:
    for number in range(30):
        library.store(f"file {number}", PNG)

    async def main() -> float:
        stalls: list[float] = []

        async def measure() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.005)
                stalls.append(time.monotonic() - before)

        conn_id = define()
        waiting = [start(conn_id, names=[f"nobody {number}", "no*"], poll_interval=0.3) for number in range(300)]
        await until(lambda: polls(conn_id) == 1)  # after the lazy imports
        measuring = asyncio.ensure_future(measure())
        await until(lambda: polls(conn_id) == 3)
        measuring.cancel()
        await stop(waiting)
        return max(stalls)

    # One good run suffices, because the machine may be busy; the benchmark measures.
    assert any(asyncio.run(main()) < 0.25 for _ in range(4))

"""A trigger that ends or is cancelled leaves nothing behind, and the others undisturbed."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._polling.lookup import WaitCriteria
from airflow_provider_media.triggers import _poller
from airflow_provider_media.triggers._policy import PollPolicy
from airflow_provider_media.triggers._subscription import Subscription
from tests.contract.helpers.sockets import connections_to
from tests.contract.helpers.triggers import pollers, polls, start, stop
from tests.contract.helpers.until import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.contract.helpers.sandbox_library import SandboxLibrary

pytestmark = pytest.mark.usefixtures("quick_looks")

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> Iterator[None]:
    """Have the collector look at what these tests make, and not at all of Airflow each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_records(caplog: pytest.LogCaptureFixture) -> None:
    """Keep no records of the log: they would keep alive what they tell of."""
    caplog.set_level(logging.CRITICAL, "airflow_provider_media")


def leaves_nothing(library: SandboxLibrary, scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario; see that no task, socket or entry is left on its loop, nor in memory after it."""

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
    # By type(): others' lazy proxies act when they are asked for their class.
    assert not [thing for thing in gc.get_objects() if type(thing) in (Subscription, _poller.Poller)]


def test_a_trigger_that_found_all(define: Any, library: SandboxLibrary) -> None:
    media_id = library.store("a", PNG)

    async def scenario() -> None:
        assert (await start(define(), media_ids=[media_id]))["status"] == "found"

    leaves_nothing(library, scenario)


def test_a_trigger_that_failed(define: Any, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        assert (await start(define("a-wrong-key"), media_ids=[1]))["status"] == "failed"

    leaves_nothing(library, scenario)


def test_a_trigger_whose_time_is_over(define: Any, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        event = await start(define(), media_ids=[901], deadline="2026-01-01T00:00:00+00:00")
        assert event["status"] == "deadline"

    leaves_nothing(library, scenario)


def test_triggers_that_are_cancelled_between_two_looks(define: Any, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        waiting = [start(define(), media_ids=[901 + number], poll_interval=60) for number in range(20)]
        await until(lambda: polls("media_async") == 1)
        assert connections_to(library.sandbox.port)
        await stop(waiting)

    leaves_nothing(library, scenario)


def test_a_trigger_that_is_cancelled_before_it_looked(define: Any, library: SandboxLibrary) -> None:
    async def scenario() -> None:
        waiting = start(define(), media_ids=[901])
        await asyncio.sleep(0)
        await stop([waiting])

    leaves_nothing(library, scenario)
    assert library.journal() == []


def test_a_trigger_that_is_cancelled_in_the_middle_of_a_request(define: Any, library: SandboxLibrary) -> None:
    library.fail("slow", "GET", delay_seconds=5)
    started = time.monotonic()

    async def scenario() -> None:
        waiting = start(define(), media_ids=[901])
        await until(library.journal)
        await stop([waiting])

    leaves_nothing(library, scenario)
    assert time.monotonic() - started < 5


def test_a_trigger_that_is_cancelled_while_a_retry_waits(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=429, headers={"Retry-After": "60"}, times=9)

    async def scenario() -> None:
        waiting = start(define(), media_ids=[901])
        await until(library.journal)
        await stop([waiting])

    leaves_nothing(library, scenario)


def test_a_cancelled_trigger_does_not_disturb_the_others(define: Any, library: SandboxLibrary) -> None:
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


def test_the_one_that_comes_after_the_last_has_a_poll_of_its_own(define: Any, library: SandboxLibrary) -> None:
    media_id = library.store("a", PNG)

    async def scenario() -> None:
        for _ in range(3):
            assert (await start(define(), media_ids=[media_id]))["status"] == "found"

    leaves_nothing(library, scenario)
    assert library.count("GET") >= 3


@pytest.mark.parametrize("breaks", [RuntimeError, asyncio.CancelledError])
def test_a_poll_that_breaks_down_ends_its_waits_and_makes_room_for_another(
    define: Any, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch, breaks: type[BaseException]
) -> None:
    def record_poll(*_: Any) -> None:
        raise breaks

    media_id = library.store("a", PNG)

    async def scenario() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Subscription, "record_poll", record_poll)
            slow_to_leave = Subscription(WaitCriteria(ids=("901",)), interval=60, policy=PollPolicy())
            async with asyncio.timeout(20), _poller.subscribe(define(), slow_to_leave):
                for event in await asyncio.gather(*(start("media_async", media_ids=[901]) for _ in range(3))):
                    assert (event["status"], event["error"]) == ("failed", "MediaError")
                    assert "The shared poll of the connection stopped" in event["message"]
                patched.undo()
                assert (await start("media_async", media_ids=[media_id]))["status"] == "found"
        assert slow_to_leave.error

    leaves_nothing(library, scenario)


def test_many_triggers_hold_the_loop_up_for_no_long_time(define: Any, library: SandboxLibrary) -> None:
    for number in range(30):
        library.store(f"file {number}", PNG)

    async def main() -> float:
        stalls: list[float] = []

        async def watch() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.005)
                stalls.append(time.monotonic() - before)

        conn_id = define()
        waiting = [start(conn_id, names=[f"nobody {number}", "no*"], poll_interval=0.3) for number in range(300)]
        await until(lambda: polls(conn_id) == 1)  # what is imported when first used
        watching = asyncio.ensure_future(watch())
        await until(lambda: polls(conn_id) == 3)
        watching.cancel()
        await stop(waiting)
        return max(stalls)

    # The machine of a test is shared, so one good run counts; the benchmark measures.
    assert any(asyncio.run(main()) < 0.25 for _ in range(4))

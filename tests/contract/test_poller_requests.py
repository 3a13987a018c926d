"""The requests of the shared poll, counted by the sandbox."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.helpers.triggers import pollers, polls, start, stop
from tests.contract.helpers.until import until

if TYPE_CHECKING:
    from tests.contract.helpers.sandbox_library import SandboxLibrary

pytestmark = pytest.mark.usefixtures("quick_polls")

PNG = b"\x89PNG\r\n\x1a\n"
PAGE = 10
FILES = 25
PAGES = math.ceil(FILES / PAGE)


@pytest.fixture
def ids(library: SandboxLibrary) -> list[int]:
    """The ids of a library of three pages."""
    found = [library.store(f"file {number}", PNG) for number in range(FILES)]
    library.forget()
    return found


def requests_of_polls(conn_id: str, library: SandboxLibrary, *, waits: list[dict[str, Any]]) -> list[int]:
    """Run triggers for four polls; return the number of requests of each poll."""

    async def main() -> list[int]:
        waiting = [start(conn_id, poll_interval=0.4, **arguments) for arguments in waits]
        counts = []
        for poll in range(1, 5):
            await until(lambda poll=poll: polls(conn_id) >= poll)
            counts.append(len(library.journal()))
        await stop(waiting)
        return [after - before for before, after in zip([0, *counts], counts, strict=False)]

    return asyncio.run(main())


@pytest.mark.parametrize("waiting", [1, 2, 3, 4, 40])
def test_ids_take_at_most_one_request_more_than_ids_or_pages(
    define: Any, library: SandboxLibrary, ids: list[int], waiting: int
) -> None:
    missing = [ids[-1] + 1000 + number for number in range(waiting)]
    counts = requests_of_polls(define(), library, waits=[{"media_ids": [one]} for one in missing])
    assert max(counts) <= min(waiting, PAGES) + 1
    assert all(call["status"] in {200, 404} for call in library.journal())


@pytest.mark.parametrize("waiting", [1, 40])
def test_names_take_one_listing(define: Any, library: SandboxLibrary, ids: list[int], waiting: int) -> None:
    waits = [{"names": [f"nobody-{number}"]} for number in range(waiting)]
    assert requests_of_polls(define(), library, waits=waits) == [PAGES] * 4


def test_ids_beside_names_take_no_request(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
    waits = [{"names": ["nobody*"]}, *({"media_ids": [ids[-1] + 1000 + number]} for number in range(40))]
    assert requests_of_polls(define(), library, waits=waits) == [PAGES] * 4


def test_same_id_is_requested_once_for_all_subscribers(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
    waits = [{"media_ids": [ids[-1] + 1000]}] * 20
    assert requests_of_polls(define(), library, waits=waits) == [1] * 4


def test_found_id_is_not_requested_again(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
    missing = ids[-1] + 1000
    assert requests_of_polls(define(), library, waits=[{"media_ids": [ids[0], missing]}]) == [2, 1, 1, 1]


def test_first_poll_finds_all_present_files(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
    async def main() -> list[dict[str, Any]]:
        by_id = [start(define(), media_ids=[one]) for one in ids]
        by_name = [start(define(), names=["file 3", "file 2?"])]
        return await asyncio.gather(*by_id, *by_name)

    events = asyncio.run(main())
    assert [event["status"] for event in events] == ["found"] * (FILES + 1)
    assert [event["found"][str(one)][0]["id"] for one, event in zip(ids, events, strict=False)] == ids
    assert {name: len(found) for name, found in events[-1]["found"].items()} == {"file 3": 1, "file 2?": 5}
    assert len(library.journal()) == PAGES


def test_id_does_not_match_an_equal_name(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
    async def main() -> None:
        by_id, by_name = start(define(), media_ids=[ids[0]]), start(define(), names=[str(ids[0])])
        assert (await by_id)["status"] == "found"
        await until(lambda: polls("media_async") >= 2)
        assert not by_name.done()
        await stop([by_name])

    asyncio.run(main())


def test_each_subscriber_keeps_its_interval(define: Any, library: SandboxLibrary) -> None:
    async def main() -> None:
        waiting = [start(define(), media_ids=[901], poll_interval=0.2)]
        await until(lambda: polls("media_async") >= 1)  # connected
        waiting.append(start(define(), media_ids=[902], poll_interval=1))
        await until(lambda: Counter(call["path"][-3:] for call in library.journal())["902"] >= 3)
        await stop(waiting)

    asyncio.run(main())
    moments = {
        media_id: [call["started_at"] for call in library.journal() if call["path"].endswith(media_id)]
        for media_id in ("901", "902")
    }
    del moments["901"][0]  # includes the time to connect
    gaps = {one: [after - before for before, after in pairwise(times)] for one, times in moments.items()}
    assert min(gaps["901"]) >= 0.1  # a request that arrives late shortens the gap to the next one
    assert min(gaps["902"]) >= 0.5  # not the other interval, also on a busy machine
    # Counted in polls of the other, because a busy machine delays both: five fit into its interval.
    between = [sum(before < moment < after for moment in moments["901"]) for before, after in pairwise(moments["902"])]
    assert max(between) <= 6


@pytest.mark.parametrize("interval_of_the_second", [1.0, 5.0])
def test_new_subscriber_is_included_in_the_next_poll(
    define: Any, library: SandboxLibrary, interval_of_the_second: float
) -> None:
    async def main() -> None:
        first = start(define(), media_ids=[901], poll_interval=1.0)
        await until(lambda: polls("media_async") == 2)
        second = start(define(), media_ids=[902], poll_interval=interval_of_the_second)
        await until(lambda: polls("media_async") == 3)
        await stop([first, second])

    asyncio.run(main())
    _, second, *third_poll = library.journal()
    assert second["path"].endswith("901")
    assert {call["path"][-3:] for call in third_poll} == {"901", "902"}
    assert min(call["started_at"] for call in third_poll) - second["started_at"] >= 0.95


def test_new_subscriber_with_a_shorter_interval_polls_earlier(define: Any, library: SandboxLibrary) -> None:
    async def main() -> float:
        clock = asyncio.get_running_loop().time
        first = start(define(), media_ids=[901], poll_interval=60)
        await until(lambda: polls("media_async") == 1)
        joined = clock()
        second = start(define(), media_ids=[902], poll_interval=0.2)
        await until(lambda: library.count("GET") >= 3)
        await stop([first, second])
        return clock() - joined

    assert asyncio.run(main()) < 5
    assert [call["path"][-3:] for call in library.journal()].count("901") <= 2


def test_each_connection_has_its_own_poller(
    define: Any, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    define()
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_OTHER", os.environ["AIRFLOW_CONN_MEDIA_ASYNC"])

    async def main() -> None:
        waiting = [start("media_async", media_ids=[901]), start("media_other", media_ids=[901])]
        await until(lambda: polls("media_async") and polls("media_other"))
        assert set(pollers()) == {"media_async", "media_other"}
        await stop(waiting)
        assert pollers() == {}

    asyncio.run(main())


def test_subscriber_during_a_poll_keeps_its_shorter_interval(define: Any, library: SandboxLibrary) -> None:
    library.fail("slow", "GET", delay_seconds=1)

    async def main() -> None:
        first = start(define(), media_ids=[901], poll_interval=3600)
        await until(library.journal)
        second = start(define(), media_ids=[902], poll_interval=0.2)
        await until(lambda: [call["path"][-3:] for call in library.journal()].count("902") >= 2)
        await stop([first, second])

    asyncio.run(main())
    assert library.journal()[0]["path"].endswith("901")


def test_subscribers_near_their_deadline_share_an_early_poll(define: Any, library: SandboxLibrary) -> None:
    async def main() -> list[str]:
        first = start(define(), media_ids=[901], poll_interval=3600)
        await until(lambda: polls("media_async") == 1)
        deadline = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        hasty = [start(define(), media_ids=[902 + n], poll_interval=3600, deadline=deadline) for n in range(5)]
        async with asyncio.timeout(20):
            events = await asyncio.gather(*hasty)
        await stop([first])
        return [event["status"] for event in events]

    assert asyncio.run(main()) == ["deadline"] * 5
    assert library.methods() == "GET GET"  # the first poll, and one for all six: the list of an empty library

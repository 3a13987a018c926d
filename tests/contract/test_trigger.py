"""The trigger's events: all is there, the time is over, asking failed; against the sandbox."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._polling.lookup import WaitEvent
from airflow_provider_media.triggers import _policy
from tests.contract.helpers.triggers import polls, start, stop
from tests.contract.helpers.until import until

if TYPE_CHECKING:
    from tests.contract.helpers.sandbox_library import SandboxLibrary

pytestmark = pytest.mark.usefixtures("quick_looks")

PNG = b"\x89PNG\r\n\x1a\n"
PAST = "2026-01-01T00:00:00+00:00"


def event_of(conn_id: str, **arguments: Any) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        return await start(conn_id, **arguments)

    return asyncio.run(main())


@pytest.fixture
def ids(library: SandboxLibrary) -> list[int]:
    found = [library.store(name, PNG) for name in ("banner", "banner-2", "film")]
    library.forget()
    return found


def test_all_that_is_asked_for_comes_in_the_event_as_json(define: Any, ids: list[int]) -> None:
    event = event_of(define(), media_ids=ids)
    assert json.loads(json.dumps(event)) == event
    outcome = WaitEvent.from_dict(event)
    assert (outcome.status, list(outcome.found)) == ("found", [str(media_id) for media_id in ids])
    assert [media.name for [media] in outcome.found.values()] == ["banner", "banner-2", "film"]


def test_a_pattern_waits_for_enough_matches(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
    async def main() -> dict[str, Any]:
        waiting = start(define(), names=["banner*", "film"], min_matches=3)
        await until(lambda: polls("media_async") >= 2)
        assert not waiting.done()
        library.store("banner-3", PNG)
        return await waiting

    event = asyncio.run(main())
    assert {name: len(found) for name, found in event["found"].items()} == {"banner*": 3, "film": 1}


def test_of_so_many_patterns_that_others_get_turns_each_finds_its_file(define: Any, library: SandboxLibrary) -> None:
    for number in range(10):
        library.store(f"banner {number:04d} wide", PNG)
    patterns = [f"banner*{number:04d}*" for number in range(3000)]  # 30,000 tries, which are not made in one go
    event = event_of(define(), names=patterns, deadline=PAST)
    assert (event["status"], list(event["found"])) == ("deadline", patterns[:10])


def test_what_is_there_is_found_although_the_deadline_is_past(define: Any, ids: list[int]) -> None:
    assert event_of(define(), media_ids=ids, deadline=PAST)["status"] == "found"


def test_with_a_deadline_in_the_past_it_looks_once(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
    event = event_of(define(), media_ids=[ids[0], 901], deadline=PAST, poll_interval=60)
    assert (event["status"], list(event["found"])) == ("deadline", [str(ids[0])])
    assert library.methods() == "GET GET"


def test_one_look_that_fails_is_the_one_look(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=500, times=99)
    event = event_of(define(max_attempts=1), media_ids=[901], deadline=PAST, poll_interval=60)
    assert event["status"] == "deadline"
    assert library.methods() == "GET"


@pytest.mark.parametrize("poll_interval", [0.1, 60])
def test_it_ends_by_itself_at_its_deadline(define: Any, library: SandboxLibrary, poll_interval: float) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=1.5)
    event = event_of(define(), media_ids=[901], deadline=deadline.isoformat(), poll_interval=poll_interval)
    assert event == {"status": "deadline", "found": {}, "error": None, "message": None}
    assert timedelta(0) <= datetime.now(UTC) - deadline < timedelta(seconds=1)


def test_a_deadline_with_an_offset_is_that_moment(define: Any) -> None:
    deadline = (datetime.now(UTC) + timedelta(seconds=1)).astimezone().isoformat()
    started = time.monotonic()
    assert event_of(define(), media_ids=[901], deadline=deadline)["status"] == "deadline"
    assert time.monotonic() - started < 5


def test_it_ends_at_its_deadline_even_while_a_server_is_silent(define: Any, library: SandboxLibrary) -> None:
    event_of(define(), media_ids=[901], deadline=PAST)  # what is imported when first used
    library.forget()

    async def main() -> dict[str, Any]:
        deadline = datetime.now(UTC) + timedelta(seconds=1.5)
        waiting = start(define(), media_ids=[901], deadline=deadline.isoformat(), poll_interval=0.3)
        await until(lambda: polls("media_async") >= 1)
        library.fail("slow", "GET", delay_seconds=20)
        return await waiting

    started = time.monotonic()
    assert asyncio.run(main())["status"] == "deadline"
    assert time.monotonic() - started < 10


def test_progress_is_logged_on_each_change_only(
    define: Any, library: SandboxLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        waiting = start(define(), names=["a", "b", "c"])
        await until(lambda: polls("media_async") >= 3)
        library.store("b", PNG)
        seen = polls("media_async")
        await until(lambda: polls("media_async") >= seen + 3)
        await stop([waiting])

    asyncio.run(main())
    told = capsys.readouterr().out
    assert told.count("missing: ") == 2
    assert "0 of 3 found (none), missing: 'a', 'b', 'c'" in told
    assert "1 of 3 found ('b'), missing: 'a', 'c'" in told


def test_the_key_is_in_no_event_and_no_log(
    define: Any, library: SandboxLibrary, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    key = library.sandbox.api_key
    library.fail("status", "GET", status=400, body={"message": f"bad {key}"}, times=99)
    event = event_of(define(), media_ids=[901], max_poll_failures=2)
    assert (event["status"], event["error"]) == ("failed", "MediaRequestError")
    assert key not in str(event) + caplog.text + "".join(capfd.readouterr())


def test_a_first_look_that_hangs_does_not_outlast_the_deadline_by_long(
    define: Any, library: SandboxLibrary, short_first_looks: None
) -> None:
    library.fail("slow", "GET", delay_seconds=20)
    started = time.monotonic()
    assert event_of(define(timeout=60), media_ids=[901], deadline=PAST)["status"] == "deadline"
    assert time.monotonic() - started < 10


def test_a_server_that_asks_to_wait_is_not_waited_for_beyond_the_deadline(
    define: Any, library: SandboxLibrary, short_first_looks: None
) -> None:
    library.fail("status", "GET", status=429, headers={"Retry-After": "3600"}, times=9)

    async def main() -> list[dict[str, Any]]:
        deadline = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        first = start(define(), media_ids=[901], poll_interval=3600, deadline=deadline)
        await until(lambda: polls("media_async") == 1)
        async with asyncio.timeout(20):
            return await asyncio.gather(first, start(define(), media_ids=[902], deadline=PAST))

    assert [event["status"] for event in asyncio.run(main())] == ["deadline", "deadline"]
    assert library.methods() == "GET"


def test_who_joins_just_after_a_look_has_one_before_its_deadline(
    define: Any, library: SandboxLibrary, ids: list[int]
) -> None:
    async def main() -> dict[str, Any]:
        patient = start(define(), media_ids=[901], poll_interval=3600)
        await until(lambda: polls("media_async") == 1)
        async with asyncio.timeout(20):
            event = await start(define(), media_ids=[ids[0], 902], poll_interval=3600, deadline=PAST)
        await stop([patient])
        return event

    event = asyncio.run(main())
    assert (event["status"], list(event["found"])) == ("deadline", [str(ids[0])])


@pytest.fixture
def short_first_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_policy, "FIRST_POLL_SECONDS", 0.5)

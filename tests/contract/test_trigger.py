"""The trigger's events, against the sandbox: all found, deadline, failure."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._polling.criteria import WaitEvent
from airflow_provider_media.triggers import _poller
from tests.contract.helpers.triggers import polls, start, stop
from tests.contract.helpers.until import until

if TYPE_CHECKING:
    from tests.contract.helpers.sandbox_library import SandboxLibrary

pytestmark = pytest.mark.usefixtures("quick_polls")

PNG = b"\x89PNG\r\n\x1a\n"
PAST = "2026-01-01T00:00:00+00:00"


def event_of(conn_id: str, **arguments: Any) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        return await start(conn_id, **arguments)

    return asyncio.run(main())


@pytest.fixture
def ids(library: SandboxLibrary) -> list[int]:
    found = [library.store(name, PNG) for name in ("banner", "banner-2", "video")]
    library.forget()
    return found


def test_event_contains_all_files_as_json(define: Any, ids: list[int]) -> None:
    event = event_of(define(), media_ids=ids)
    assert json.loads(json.dumps(event)) == event
    wait_event = WaitEvent.from_dict(event)
    assert (wait_event.status, list(wait_event.found)) == ("found", [str(media_id) for media_id in ids])
    assert [media.name for [media] in wait_event.found.values()] == ["banner", "banner-2", "video"]


def test_pattern_waits_for_enough_matches(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
    async def main() -> dict[str, Any]:
        waiting = start(define(), names=["banner*", "video"], min_matches=3)
        await until(lambda: polls("media_async") >= 2)
        assert not waiting.done()
        library.store("banner-3", PNG)
        return await waiting

    event = asyncio.run(main())
    assert {name: len(found) for name, found in event["found"].items()} == {"banner*": 3, "video": 1}


def test_each_of_many_patterns_finds_its_file(define: Any, library: SandboxLibrary) -> None:
    for number in range(10):
        library.store(f"banner {number:04d} wide", PNG)
    patterns = [f"banner*{number:04d}*" for number in range(3000)]  # 30,000 tests, in more than one turn
    event = event_of(define(), names=patterns, deadline=PAST)
    assert (event["status"], list(event["found"])) == ("deadline", patterns[:10])


def test_present_files_are_found_after_the_deadline(define: Any, ids: list[int]) -> None:
    assert event_of(define(), media_ids=ids, deadline=PAST)["status"] == "found"


def test_past_deadline_ends_after_one_poll(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
    event = event_of(define(), media_ids=[ids[0], 901], deadline=PAST, poll_interval=60)
    assert (event["status"], list(event["found"])) == ("deadline", [str(ids[0])])
    assert library.methods() == "GET GET"


def test_failed_poll_after_the_deadline_is_the_last(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=500, times=99)
    event = event_of(define(max_attempts=1), media_ids=[901], deadline=PAST, poll_interval=60)
    assert event["status"] == "deadline"
    assert library.methods() == "GET"


@pytest.mark.parametrize("poll_interval", [0.1, 60])
def test_trigger_ends_at_its_deadline(define: Any, library: SandboxLibrary, poll_interval: float) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=1.5)
    event = event_of(define(), media_ids=[901], deadline=deadline.isoformat(), poll_interval=poll_interval)
    assert event == {"status": "deadline", "found": {}, "error": None, "message": None}
    assert timedelta(0) <= datetime.now(UTC) - deadline < timedelta(seconds=1)


@pytest.mark.parametrize("seconds", [-60, 1])
def test_trigger_ends_with_a_warning_before_its_deadline(
    define: Any, library: SandboxLibrary, ids: list[int], seconds: int
) -> None:
    warn_at = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    deadline = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    event = event_of(define(), media_ids=[ids[0], 901], deadline=deadline, warn_at=warn_at, poll_interval=60)
    assert (event["status"], list(event["found"])) == ("warning", [str(ids[0])])
    assert library.methods() == "GET GET"


def test_deadline_may_have_an_offset(define: Any) -> None:
    deadline = (datetime.now(UTC) + timedelta(seconds=1)).astimezone().isoformat()
    started = time.monotonic()
    assert event_of(define(), media_ids=[901], deadline=deadline)["status"] == "deadline"
    assert time.monotonic() - started < 5


def test_trigger_ends_at_its_deadline_during_a_request(define: Any, library: SandboxLibrary) -> None:
    event_of(define(), media_ids=[901], deadline=PAST)  # lazy imports
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


def test_progress_is_logged_when_it_changes(
    define: Any, library: SandboxLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        waiting = start(define(), names=["a", "b", "c"])
        await until(lambda: polls("media_async") >= 3)
        library.store("b", PNG)
        before = polls("media_async")
        await until(lambda: polls("media_async") >= before + 3)
        await stop([waiting])

    asyncio.run(main())
    log = capsys.readouterr().out
    assert log.count("missing: ") == 2
    assert "0 of 3 found (none), missing: 'a', 'b', 'c'" in log
    assert "1 of 3 found ('b'), missing: 'a', 'c'" in log


def test_progress_counts_files_and_what_was_found_before(
    define: Any, library: SandboxLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> dict[str, Any]:
        waiting = start(define(), names=["gates/*"], min_matches=2, found_before=3)
        await until(lambda: polls("media_async") >= 1)
        library.store("gates/1", PNG)
        before = polls("media_async")
        await until(lambda: polls("media_async") >= before + 2)
        library.store("gates/2", PNG)
        return await waiting

    assert len(asyncio.run(main())["found"]["gates/*"]) == 2
    log = capsys.readouterr().out
    for count in (0, 1):
        assert f"3 of 4 found (3 before), missing: 'gates/*': {count} of 2 files; deadline: none" in log


def test_filters_apply_to_each_trigger(define: Any, library: SandboxLibrary) -> None:
    for folder in (7, 8):
        library.store("banner", PNG, folderId=folder)

    async def main() -> list[dict[str, Any]]:
        options: list[dict[str, Any]] = [{"folder_id": "8"}, {"pick": "newest"}, {"mime_type": "image/*"}]
        waits = [start(define(), names=["banner"], **each) for each in options]
        never = start(define(), names=["banner"], stored_after="2999-01-01T00:00:00+00:00")
        events = await asyncio.gather(*waits)
        await stop([never])
        return events

    folders = [event["found"]["banner"][0]["folder_id"] for event in asyncio.run(main())]
    assert list(map(str, folders)) == ["8", "8", "7"]


def test_api_key_is_in_no_event_and_no_log(
    define: Any, library: SandboxLibrary, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    key = library.sandbox.api_key
    library.fail("status", "GET", status=400, body={"message": f"bad {key}"}, times=99)
    event = event_of(define(), media_ids=[901], max_poll_failures=2)
    assert (event["status"], event["error"]) == ("failed", "MediaRequestError")
    assert key not in str(event) + caplog.text + "".join(capfd.readouterr())


def test_first_poll_without_a_response_ends_soon_after_the_deadline(
    define: Any, library: SandboxLibrary, short_first_polls: None
) -> None:
    library.fail("slow", "GET", delay_seconds=20)
    started = time.monotonic()
    assert event_of(define(timeout=60), media_ids=[901], deadline=PAST)["status"] == "deadline"
    assert time.monotonic() - started < 10


def test_retry_after_does_not_extend_the_deadline(
    define: Any, library: SandboxLibrary, short_first_polls: None
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


def test_new_subscriber_gets_a_poll_before_its_deadline(define: Any, library: SandboxLibrary, ids: list[int]) -> None:
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
def short_first_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_poller, "FIRST_POLL_SECONDS", 0.5)

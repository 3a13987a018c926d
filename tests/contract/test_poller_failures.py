"""A shared poll that fails: it sleeps, obeys Retry-After, and fails the waits of its subscribers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.triggers import _poller
from airflow_provider_media.triggers._poller import Subscription
from tests.contract.helpers.triggers import polls, start, stop
from tests.contract.helpers.until import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.helpers.sandbox_library import SandboxLibrary

pytestmark = pytest.mark.usefixtures("quick_polls")

INTERVAL = 0.2
OBSERVED_SECONDS = 1.5
LONG = 100_000


def requests_in_a_while(conn_id: str, library: SandboxLibrary, *, triggers: int = 5, **arguments: Any) -> list[float]:
    """Run triggers for a bounded time; return the times of the requests."""

    async def main() -> None:
        options = {"poll_interval": INTERVAL, "max_poll_failures": LONG, **arguments}
        waiting = [start(conn_id, media_ids=[901], **options) for _ in range(triggers)]
        await until(library.journal)
        end = time.monotonic() + OBSERVED_SECONDS
        await until(lambda: time.monotonic() > end)
        assert not any(task.done() for task in waiting)
        await stop(waiting)

    asyncio.run(main())
    return [call["started_at"] for call in library.journal()]


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("status", {"status": 500}),
        ("status", {"status": 503, "headers": {"Retry-After": "0"}}),
        ("status", {"status": 429}),
        ("status", {"status": 429, "headers": {"Retry-After": "0"}}),
        ("reset_before_body", {}),
        ("store_then_drop", {}),
        ("cut_answer", {}),
        ("status", {"status": 200, "body": "nonsense"}),
    ],
)
@pytest.mark.parametrize("attempts", [1, 3])
def test_poller_sleeps_between_polls_during_an_outage(
    define: Any, library: SandboxLibrary, fault: str, options: dict[str, Any], attempts: int
) -> None:
    library.fail(fault, "GET", times=9999, **options)
    moments = requests_in_a_while(define(max_attempts=attempts), library)
    most = (OBSERVED_SECONDS + 0.5) / INTERVAL + 1
    assert 2 <= len(moments) <= most * attempts


def test_poller_sleeps_if_connections_are_refused(
    define: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> int:
        conn_id = define(host="http://127.0.0.1:9", max_attempts=1)
        waiting = [start(conn_id, media_ids=[901], poll_interval=INTERVAL, max_poll_failures=LONG)]
        end = time.monotonic() + OBSERVED_SECONDS
        await until(lambda: time.monotonic() > end)
        seen = polls(conn_id)
        await stop(waiting)
        return seen

    assert 2 <= asyncio.run(main()) <= OBSERVED_SECONDS / INTERVAL + 1
    assert (
        "Lookup failed for 1 of 1 ids and names. First error: Could not get media 901: no connection to" in caplog.text
    )


@pytest.mark.parametrize("attempts", [1, 5])
def test_retry_after_applies_to_all_subscribers(define: Any, library: SandboxLibrary, attempts: int) -> None:
    library.fail("status", "GET", status=429, headers={"Retry-After": "1"})
    moments = requests_in_a_while(define(max_attempts=attempts), library, triggers=20)
    assert moments[1] - moments[0] >= 0.99
    assert len(moments) <= 1 + (OBSERVED_SECONDS - 1) / INTERVAL + 2


def test_retry_after_beyond_the_retry_budget_is_obeyed(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=429, headers={"Retry-After": "3600"}, times=9999)

    async def main() -> None:
        waiting = [start(define(), media_ids=[901], poll_interval=INTERVAL) for _ in range(3)]
        await until(lambda: polls("media_async") == 1)
        waiting.append(start(define(), media_ids=[902], poll_interval=0.1))  # a new subscriber waits too
        end = time.monotonic() + 1
        await until(lambda: time.monotonic() > end)
        await stop(waiting)

    asyncio.run(main())
    assert library.methods() == "GET"


def test_consecutive_failures_end_the_wait_and_a_success_resets_them(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=500, times=2)
    library.fail("status", "GET", status=404)
    library.fail("status", "GET", status=500, times=99)
    event = asyncio.run(_one(define(max_attempts=1), media_ids=[901], max_poll_failures=3))
    assert (event["status"], event["error"]) == ("failed", "MediaUnavailableError")
    assert "HTTP 500" in event["message"]
    assert [call["status"] for call in library.journal()] == [500, 500, 404, 500, 500, 500]


async def _one(conn_id: str, **arguments: Any) -> dict[str, Any]:
    return await start(conn_id, **arguments)


def test_rate_limit_is_not_a_failure(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=429, times=6)
    library.fail("status", "GET", status=500)
    event = asyncio.run(_one(define(max_attempts=1), media_ids=[901], max_poll_failures=1))
    assert (event["status"], event["error"]) == ("failed", "MediaUnavailableError")
    assert [call["status"] for call in library.journal()] == [*[429] * 6, 500]


@pytest.mark.parametrize(("status", "words"), [(401, "check the API key"), (403, "add this machine's IP address")])
def test_rejected_key_or_address_ends_all_waits_immediately(
    define: Any, library: SandboxLibrary, status: int, words: str
) -> None:
    library.fail("status", "GET", status=status, times=99)

    async def main() -> list[dict[str, Any]]:
        return await asyncio.gather(*(start(define(), media_ids=[901 + number]) for number in range(2)))

    for event in asyncio.run(main()):
        assert (event["status"], event["error"]) == ("failed", "MediaAuthError")
        assert words in event["message"]
        assert "key-of-the-tests" not in str(event)
    assert library.methods() == "GET"


def test_invalid_connection_ends_the_wait_immediately(define: Any, library: SandboxLibrary) -> None:
    event = asyncio.run(_one(define(timeout="abc"), media_ids=[901]))
    assert (event["status"], event["error"]) == ("failed", "MediaConfigurationError")
    assert "'timeout'" in event["message"]
    assert library.journal() == []


@pytest.mark.filterwarnings("ignore")
def test_unknown_connection_fails_the_wait_immediately(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[Exception | None] = []
    record_poll = Subscription.record_poll

    def record(subscription: Subscription, result: Any, error: Exception | None, **rest: Any) -> None:
        recorded.append(error)
        record_poll(subscription, result, error, **rest)

    monkeypatch.setattr(Subscription, "record_poll", record)
    event = asyncio.run(_one("media_of_nobody", media_ids=[901]))
    assert event["status"] == "failed"
    assert "media_of_nobody" in event["message"]
    assert len(recorded) == 1


def test_each_trigger_counts_its_own_failures(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=500, times=9999)

    async def main() -> None:
        conn_id = define(max_attempts=1)
        patient, hasty = (start(conn_id, media_ids=[901], max_poll_failures=most) for most in (LONG, 2))
        assert (await hasty)["status"] == "failed"
        seen = polls(conn_id)
        await until(lambda: polls(conn_id) > seen)
        assert not patient.done()
        await stop([patient])

    asyncio.run(main())


def test_files_found_before_a_failure_are_kept(define: Any, library: SandboxLibrary) -> None:
    there = library.store("a", b"\x89PNG\r\n\x1a\n")
    library.forget()
    library.fail("status", "GET", status=500, path=f"*/{there + 1}", times=99)

    async def main() -> list[dict[str, Any]]:
        conn_id = define(max_attempts=1)
        return await asyncio.gather(*(start(conn_id, media_ids=[one]) for one in (there, there + 1)))

    found, failed = asyncio.run(main())
    assert (found["status"], failed["status"]) == ("found", "failed")
    assert [call["path"].rpartition("/")[2] for call in library.journal()].count(str(there)) == 1


@pytest.mark.parametrize("options", [{"status": 400}, {"status": 500}, {"status": 200, "body": "nonsense"}])
def test_failing_id_does_not_affect_other_subscribers(
    define: Any, library: SandboxLibrary, options: dict[str, Any]
) -> None:
    """With the retries of a default connection."""
    library.fail("status", "GET", path="*/901", times=9999, **options)

    async def main() -> tuple[dict[str, Any], dict[str, Any], float]:
        conn_id = define()
        wrong = start(conn_id, media_ids=[901], poll_interval=INTERVAL, max_poll_failures=3)
        patient = start(conn_id, media_ids=[902], poll_interval=INTERVAL, max_poll_failures=3)
        failed = await wrong
        there = library.store("a", b"\x89PNG\r\n\x1a\n")
        assert not patient.done()
        await stop([patient])
        wrong = start(conn_id, media_ids=[901], poll_interval=INTERVAL, max_poll_failures=LONG)
        started = time.monotonic()
        found = await start(conn_id, media_ids=[there], poll_interval=INTERVAL)
        took = time.monotonic() - started
        await stop([wrong])
        return failed, found, took

    failed, found, took = asyncio.run(main())
    assert (failed["status"], found["status"]) == ("failed", "found")
    assert "901" in failed["message"]
    assert took < 15  # retries of the other id would take a minute


@pytest.fixture(autouse=True)
def _no_remaining_faults(library: SandboxLibrary) -> Iterator[None]:
    yield
    library.emptied()


def test_503_with_retry_after_is_a_failure_and_is_obeyed(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=503, headers={"Retry-After": "3600"}, times=9999)

    async def main() -> dict[str, Any]:
        patient, hasty = (
            start(define(), media_ids=[901], poll_interval=INTERVAL, max_poll_failures=most) for most in (2, 1)
        )
        event = await hasty
        end = time.monotonic() + 1
        await until(lambda: time.monotonic() > end)
        assert not patient.done()
        await stop([patient])
        return event

    event = asyncio.run(main())
    assert (event["status"], event["error"]) == ("failed", "MediaUnavailableError")
    assert library.methods() == "GET"


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_outlasts_its_poller(
    define: Any, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(_poller, "FIRST_POLL_SECONDS", 0.4)
    library.fail("status", "GET", status=status, headers={"Retry-After": "3"})

    async def main() -> None:
        conn_id = define(max_attempts=1)
        await _one(conn_id, media_ids=[901], deadline="2026-01-01T00:00:00+00:00")
        for _ in range(3):  # one by one, each with its own poller
            event = await _one(conn_id, media_ids=[902], deadline="2026-01-01T00:00:00+00:00")
            assert event["status"] == "deadline"
            assert library.methods() == "GET"
        waiting = start(conn_id, media_ids=[903])
        await until(lambda: library.count("GET") == 2)
        await stop([waiting])

    asyncio.run(main())
    first, second = (call["started_at"] for call in library.journal())
    assert second - first >= 2.99

"""A sensor in a worker sleeps between polls after any failure, and obeys Retry-After."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_media._api.flows import get_media
from airflow_provider_media.exceptions import MediaUnavailableError
from airflow_provider_media.hooks.media import MediaHook
from airflow_provider_media.triggers import _poller
from tests.contract.helpers.raw_server import http_response
from tests.contract.helpers.waiting import wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.helpers.sandbox_library import SandboxLibrary

pytestmark = pytest.mark.parametrize("mode", ["poke", "reschedule"])

SECONDS = 2
MIN_INTERVAL = 0.5
LONG = 100_000
PAST = "2026-01-01T00:00:00+00:00"


@pytest.fixture(autouse=True)
def _no_remaining_faults(library: SandboxLibrary) -> Iterator[None]:
    yield
    library.emptied()


def requests_until_the_timeout(conn_id: str, library: SandboxLibrary, mode: str) -> int:
    """Wait for a missing file with the minimum interval; return the number of requests."""
    options: dict[str, Any] = {"poke_interval": 0, "timeout": SECONDS, "max_poll_failures": LONG}
    with pytest.raises(AirflowSensorTimeout, match=rf"The deadline \(timeout={SECONDS} s\) has passed"):
        wait(conn_id, media_id=901, mode=mode, **options)
    return len(library.journal())


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("status", {"status": 500}),
        ("status", {"status": 429}),
        ("status", {"status": 429, "headers": {"Retry-After": "0"}}),
        ("reset_before_body", {}),
    ],
)
def test_sensor_sleeps_between_polls_during_an_outage(
    define: Any, library: SandboxLibrary, mode: str, fault: str, options: dict[str, Any]
) -> None:
    library.fail(fault, "GET", times=9999, **options)
    most = SECONDS / MIN_INTERVAL + 2  # the first poll, and the last one at the deadline
    assert 2 <= requests_until_the_timeout(define(max_attempts=1), library, mode) <= most


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed_until_the_deadline(define: Any, library: SandboxLibrary, mode: str, status: int) -> None:
    library.fail("status", "GET", status=status, headers={"Retry-After": "3600"}, times=9999)
    # The first poll, the last one at the deadline, and one because clocks differ.
    assert 2 <= requests_until_the_timeout(define(max_attempts=5), library, mode) <= 3


@pytest.mark.parametrize("options", [{"status": 429, "headers": {"Retry-After": "20"}}, {"status": 500}], ids=str)
def test_retries_of_a_poll_end_at_the_deadline(
    define: Any, library: SandboxLibrary, mode: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retries of a default connection take more than a minute."""
    monkeypatch.setattr(_poller, "FIRST_POLL_SECONDS", 1.0)
    library.fail("status", "GET", times=9999, **options)
    started = time.monotonic()
    requests_until_the_timeout(define(), library, mode)
    assert time.monotonic() - started < 20


over = threading.Event()
"""Set when the sensor has ended, so that the servers stop."""


def silence(_head: str) -> Iterator[bytes]:
    over.wait(20)
    yield b""


def endless_header(_head: str) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    while not over.wait(0.1):
        yield b"x"


def slow_pages(head: str) -> Iterator[bytes]:
    time.sleep(0.4)
    page = int(head.split("page=")[1].partition("&")[0])
    yield http_response(200, {"content": [{"id": page + 1, "name": "another"}], "totalElements": 12})


@pytest.mark.parametrize("server", [silence, endless_header, slow_pages])
def test_running_poll_ends_at_the_deadline(
    define: Any, raw_server: Any, mode: str, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_poller, "FIRST_POLL_SECONDS", 1.0)
    over.clear()
    conn_id = define(host=raw_server(server).url)
    started = time.monotonic()
    with pytest.raises(AirflowSensorTimeout, match="did not respond within 1 s"):
        wait(conn_id, name="there", mode=mode, needed_by=PAST, poke_interval=0)
    over.set()
    assert time.monotonic() - started < 4


def test_poll_after_an_aborted_one_succeeds(define: Any, library: SandboxLibrary, mode: str) -> None:
    media_id = library.store("there", b"\x89PNG\r\n\x1a\n")
    library.fail("slow", "GET", delay_seconds=5)
    hook = MediaHook(define())
    with pytest.raises(MediaUnavailableError, match=r"within 0\.2 s"):
        hook.run_flow(get_media(media_id), seconds=0.2)
    assert hook.run_flow(get_media(media_id), seconds=5).name == "there"


def test_sensor_polls_again_after_retry_after(define: Any, library: SandboxLibrary, mode: str) -> None:
    library.fail("status", "GET", status=503, headers={"Retry-After": "1"})
    media_id = library.store("there", b"\x89PNG\r\n\x1a\n")
    library.forget()
    assert wait(define(max_attempts=1), media_id=media_id, mode=mode, poke_interval=0, timeout=60)["name"] == "there"
    first, second = (call["started_at"] for call in library.journal())
    assert second - first >= 0.99


def test_503_with_retry_after_is_a_failure(define: Any, library: SandboxLibrary, mode: str) -> None:
    library.fail("status", "GET", status=503, headers={"Retry-After": "3600"}, times=9999)
    with pytest.raises(MediaUnavailableError):
        wait(define(max_attempts=1), media_id=901, mode=mode, poke_interval=0, timeout=SECONDS, max_poll_failures=1)
    assert library.methods() == "GET"

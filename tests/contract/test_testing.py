"""The fixtures of the pytest plugin for users' tests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._transports import rate_limit
from airflow_provider_media.exceptions import MediaRateLimitError, MediaUnavailableError
from airflow_provider_media.hooks.media import MediaAsyncHook, MediaHook
from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_media.testing import MediaSandbox

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture(autouse=True)
def short_waits() -> None:
    """Disable the suite's fixture, so that waits have their real length."""


@pytest.fixture
def hook(media_connection: str) -> MediaHook:
    return MediaHook(media_connection)


def test_library_contains_uploaded_files(media_sandbox: MediaSandbox, hook: MediaHook, image: Path) -> None:
    media = hook.upload(image, name="Banner").media
    assert media_sandbox.library() == [media]
    assert media_sandbox.names() == ["Banner"]
    assert media_sandbox.content(media.id) == image.read_bytes()
    with pytest.raises(LookupError, match=r"^The sandbox's library has no file with the id 99.$"):
        media_sandbox.content(99)


def test_hook_sees_files_that_the_test_stores_and_deletes(media_sandbox: MediaSandbox, hook: MediaHook) -> None:
    media = media_sandbox.store(PNG, "Card")
    assert hook.find_media("Card") == [media]
    media_sandbox.delete(media.id)
    assert hook.find_media("Card") == []
    assert media_sandbox.library() == []


def test_requests_of_the_test_bypass_faults_and_the_log(media_sandbox: MediaSandbox) -> None:
    media_sandbox.answer(500, times=4)
    gone, kept = media_sandbox.store(PNG, "Card"), media_sandbox.store(PNG + b"other", "Card 2")
    media_sandbox.delete(gone.id)
    assert media_sandbox.library() == [kept]
    assert media_sandbox.content(kept.id) == PNG + b"other"
    assert media_sandbox.calls() == []
    assert media_sandbox.pending_faults()[0]["times"] == 4


class TestOnOnePort:
    """A sandbox whose port an earlier sandbox had."""

    @pytest.fixture
    def media_sandbox_settings(self, image: Path, monkeypatch: pytest.MonkeyPatch) -> SandboxSettings:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with run_in_thread(SandboxSettings()) as earlier:
            connection = {"conn_type": "media", "host": earlier.base_url, "password": earlier.api_key}
            monkeypatch.setenv("AIRFLOW_CONN_MEDIA_EARLIER", json.dumps(connection))
            MediaHook("media_earlier").upload(image, name="Banner")
        return SandboxSettings(port=int(earlier.base_url.rpartition(":")[2]))

    @pytest.mark.usefixtures("media_no_waiting")
    def test_earlier_uploads_are_unknown(self, media_sandbox: MediaSandbox, hook: MediaHook, image: Path) -> None:
        media_sandbox.fail("store_then_drop", method="POST")
        media = hook.upload(image, name="Banner").media
        assert media_sandbox.library() == [media]
        assert media_sandbox.count("POST") == 1


class TestAtTheRateLimit:
    """A sandbox that allows one request per minute."""

    @pytest.fixture
    def media_sandbox_settings(self) -> SandboxSettings:
        return SandboxSettings(requests_per_minute=1, id_style="text")

    def test_requests_of_the_test_bypass_the_rate_limit(self, media_sandbox: MediaSandbox, hook: MediaHook) -> None:
        stored = [media_sandbox.store(PNG, f"Card {number}") for number in range(3)]
        media_sandbox.delete(stored[1].id)
        assert set(hook.list_page().items) == {stored[0], stored[2]}


PROXIES = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("before", "upper", "lower"),
    [
        ({}, "127.0.0.1", "127.0.0.1"),
        ({"NO_PROXY": "a.example"}, "a.example,127.0.0.1", "a.example,127.0.0.1"),
        ({"no_proxy": "b.example"}, "b.example,127.0.0.1", "b.example,127.0.0.1"),
        ({"NO_PROXY": "a.example", "no_proxy": "b.example"}, "a.example,127.0.0.1", "b.example,127.0.0.1"),
        ({"NO_PROXY": "*"}, "*", "*"),
    ],
)
def test_sandbox_bypasses_proxies_that_still_apply_to_other_hosts(
    before: dict[str, str], upper: str, lower: str, monkeypatch: Any, request: Any
) -> None:
    """The proxy on port 9 does not exist; the connection is not from ``media_connection``."""
    for name, value in (PROXIES | before).items():
        monkeypatch.setenv(name, value)
    media_sandbox = request.getfixturevalue("media_sandbox")
    assert (os.environ["NO_PROXY"], os.environ["no_proxy"]) == (upper, lower)
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_EU", media_sandbox.connection(max_attempts=1))
    media = media_sandbox.store(PNG, "Card")
    assert MediaHook("media_eu").find_media("Card") == [media]
    assert asyncio.run(get_with_async_hook("media_eu", media.id)) == media


def test_invalid_fault_is_reported(media_sandbox: MediaSandbox) -> None:
    with pytest.raises(AssertionError, match="'fault' must be one of status, reset_before_body"):
        media_sandbox.fail("nonsense")


def test_missing_extra_is_named(request: pytest.FixtureRequest, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "airflow_provider_media.sandbox.server", None)
    with pytest.raises(pytest.fail.Exception, match=r"with the extra: airflow-provider-media\[testing\]"):
        request.getfixturevalue("media_sandbox")


def test_connection_is_removed_after_the_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["airflow_provider_media.testing"]')
    (tmp_path / "test_it.py").write_text(
        "import os, sys\n"
        "def test_before(): assert 'airflow' not in sys.modules\n"
        "def test_with(media_connection, media_sandbox):\n"
        "    assert media_sandbox.base_url in os.environ['AIRFLOW_CONN_MEDIA_DEFAULT']\n"
        "def test_after():\n"
        "    assert 'AIRFLOW_CONN_MEDIA_DEFAULT' not in os.environ\n"
        "    assert (os.environ['NO_PROXY'], os.environ.get('no_proxy')) == ('a.example', None)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment["NO_PROXY"] = "a.example"
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_extras_and_other_connections(media_sandbox: MediaSandbox, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_EU", media_sandbox.connection(max_attempts=3))
    hook = MediaHook("media_eu")
    assert hook.settings.max_attempts == 3
    assert hook.test_connection()[0]


def test_retry_after_of_a_minute_is_skipped(
    media_sandbox: MediaSandbox, hook: MediaHook, image: Path, media_no_waiting: list[float]
) -> None:
    media_sandbox.answer(429, "POST", headers={"Retry-After": "60"})
    started = time.monotonic()
    hook.upload(image)
    assert time.monotonic() - started < 30
    assert [seconds for seconds in media_no_waiting if seconds >= 60] == [pytest.approx(61.5, abs=1.6)]
    assert media_sandbox.count("POST") == 2
    assert media_sandbox.pending_faults() == []


def send_request(hook_class: type) -> Callable[[str], Any]:
    if hook_class is MediaHook:
        return lambda conn_id: MediaHook(conn_id).list_page()

    return lambda conn_id: asyncio.run(get_with_async_hook(conn_id, 1))


async def get_with_async_hook(conn_id: str, media_id: int | str) -> Any:
    async with MediaAsyncHook(conn_id) as hook:
        return await hook.get_media(media_id)


@pytest.mark.parametrize("hook_class", [MediaHook, MediaAsyncHook])
def test_skipped_waits_use_up_the_retry_budget(
    hook_class: type, media_sandbox: MediaSandbox, media_connection: str, media_no_waiting: list[float]
) -> None:
    """Four waits of 30 seconds use up the budget of 120; without the simulated clock, there are ten attempts."""
    media_sandbox.answer(429, headers={"Retry-After": "30"}, times=100)
    with pytest.raises(MediaRateLimitError):
        send_request(hook_class)(media_connection)
    assert len(media_sandbox.calls()) in {4, 5}
    assert 90 <= sum(media_no_waiting) <= 125


@pytest.mark.parametrize("hook_class", [MediaHook, MediaAsyncHook])
def test_outage_uses_all_ten_attempts(
    hook_class: type, media_sandbox: MediaSandbox, media_connection: str, media_no_waiting: list[float]
) -> None:
    media_sandbox.answer(503, times=100)
    started = time.monotonic()
    with pytest.raises(MediaUnavailableError):
        send_request(hook_class)(media_connection)
    assert len(media_sandbox.calls()) == 10
    assert len(media_no_waiting) == 9
    assert sum(media_no_waiting) > 40
    assert time.monotonic() - started < 40


def test_settling_time_is_skipped_and_the_file_uploaded_again(
    media_sandbox: MediaSandbox, hook: MediaHook, image: Path, media_no_waiting: list[float]
) -> None:
    media_sandbox.fail("reset_before_answer", "POST")
    hook.upload(image)
    assert len(media_sandbox.library()) == 1
    assert media_sandbox.count("POST") == 2
    assert sum(media_no_waiting) == pytest.approx(30, abs=10)  # minus the time of the lookups


def test_rate_limit_of_the_connection_is_skipped(
    media_sandbox: MediaSandbox, media_no_waiting: list[float], monkeypatch: Any
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_SLOW", media_sandbox.connection(requests_per_second=0.01))
    hook = MediaHook("media_slow")
    for _ in range(3):
        hook.list_page()
    assert media_no_waiting == [pytest.approx(100, abs=5), pytest.approx(100, abs=5)]


def test_cancellation_ends_a_skipped_wait(media_sandbox: MediaSandbox, hook: MediaHook, media_no_waiting: Any) -> None:
    hook.get_conn()
    hook.cancel()
    with pytest.raises(Exception, match="the task was stopped"):
        hook.list_page()


def test_real_clock_applies_without_the_fixture() -> None:
    assert rate_limit.now() == pytest.approx(time.monotonic(), abs=5)
    assert rate_limit.now.__module__ == rate_limit.__name__

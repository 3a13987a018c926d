"""What only the hook of the event loop has: a key that is read again, one session for many callers, a free loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._api.flows import Sleep
from airflow_provider_media._transports.aio import MAX_THREADS
from airflow_provider_media.exceptions import MediaAuthError, MediaConfigurationError, MediaNotFoundError
from airflow_provider_media.hooks.media import MediaAsyncHook
from tests.contract.helpers.raw_server import http_response
from tests.contract.helpers.sockets import connections_to
from tests.contract.helpers.until import until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from airflow_provider_media._api.protocol import ApiResponse
    from tests.contract.helpers.raw_server import RawServer
    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def defined(define: Any) -> None:
    """Begin with a connection that works."""
    define()


def run(use: Callable[[MediaAsyncHook], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with MediaAsyncHook("media_async") as hook:
            return await use(hook)

    return asyncio.run(main())


def count_reads(hook: MediaAsyncHook) -> list[str]:
    """Note the keys of the connection, each time that it is read."""
    keys: list[str] = []
    read = hook._read_settings

    async def read_and_note() -> Any:
        settings = await read()
        keys.append(settings.api_key.reveal())
        return settings

    hook._read_settings = read_and_note  # type: ignore[method-assign]
    return keys


def test_unchanged_rejected_key_is_one_error(define: Any, library: SandboxLibrary) -> None:
    define("an-old-key")

    async def use(hook: MediaAsyncHook) -> list[str]:
        keys = count_reads(hook)
        with pytest.raises(MediaAuthError, match="check the API key"):
            await hook.list_page()
        return keys

    assert run(use) == ["an-old-key"] * 2
    assert library.methods() == "GET"


def test_rotated_key_is_read_again(define: Any, library: SandboxLibrary) -> None:
    define("an-old-key")

    async def use(hook: MediaAsyncHook) -> list[str]:
        keys = count_reads(hook)
        with pytest.raises(MediaAuthError):
            await hook.list_page()
        define()
        library.forget()
        assert (await hook.list_page()).total == 0
        assert [call["status"] for call in library.journal()] == [401, 200]
        assert (await hook.list_page()).total == 0
        return keys

    assert run(use) == ["an-old-key", "an-old-key", "key-of-the-tests"]
    assert library.methods() == "GET GET GET"


def test_rejected_new_key_is_an_error(define: Any, library: SandboxLibrary) -> None:
    define("an-old-key")

    async def use(hook: MediaAsyncHook) -> None:
        with pytest.raises(MediaAuthError):
            await hook.list_page()
        define("another-key")
        with pytest.raises(MediaAuthError) as raised:
            await hook.list_page()
        assert raised.value.status == 401

    run(use)
    assert library.methods() == "GET GET GET"


@pytest.mark.parametrize("new_key", ["an-old-key", "key-of-the-tests"])
def test_requests_rejected_together_read_the_connection_once(
    define: Any, library: SandboxLibrary, new_key: str
) -> None:
    define("an-old-key")

    async def use(hook: MediaAsyncHook) -> list[str]:
        keys = count_reads(hook)
        await hook._transport.settings()
        define(new_key)
        ends = await asyncio.gather(*(hook.list_page() for _ in range(10)), return_exceptions=True)
        failed = [end for end in ends if isinstance(end, MediaAuthError)]
        assert len(failed) == (10 if new_key == "an-old-key" else 0)
        return keys

    assert run(use) == ["an-old-key", new_key]
    assert library.count("GET") == (10 if new_key == "an-old-key" else 20)


def test_rejected_requests_leave_no_sessions(define: Any) -> None:
    define("an-old-key")

    async def use(hook: MediaAsyncHook) -> None:
        for _ in range(5):
            with pytest.raises(MediaAuthError):
                await hook.list_page()
        assert len(hook._transport._sessions) == 1

    run(use)


def test_a_403_reads_nothing_again(define: Any, library: SandboxLibrary) -> None:
    library.fail("status", "GET", status=403, times=5)

    async def use(hook: MediaAsyncHook) -> list[str]:
        keys = count_reads(hook)
        with pytest.raises(MediaAuthError, match="add this machine's IP address to the account's allowlist"):
            await hook.list_page()
        return keys

    assert len(run(use)) == 1
    assert library.methods() == "GET"


def test_connection_that_became_invalid_is_read_again(define: Any) -> None:
    define(timeout="abc")

    async def use(hook: MediaAsyncHook) -> None:
        with pytest.raises(MediaConfigurationError, match="'timeout'"):
            await hook.list_page()
        define()
        assert (await hook.list_page()).total == 0

    run(use)


def test_concurrent_requests_share_few_connections_and_threads(define: Any, library: SandboxLibrary) -> None:
    ids = [library.store(f"file {number}", PNG) for number in range(5)]

    async def use(hook: MediaAsyncHook) -> None:
        found = await asyncio.gather(*(hook.get_media(media_id) for media_id in ids * 20))
        assert [media.id for media in found] == ids * 20
        assert len(connections_to(library.sandbox.port) - before) <= MAX_THREADS
        assert len([thread for thread in threading.enumerate() if thread.name == "airflow-media"]) <= MAX_THREADS

    before = connections_to(library.sandbox.port)  # of other tests
    run(use)


def test_retry_after_delays_all_callers(define: Any, raw_server: Any) -> None:
    moments: list[float] = []

    def refuse_the_first(_head: str) -> bytes:
        moments.append(time.monotonic())
        return (
            http_response(429, "", "Retry-After: 0.5")
            if len(moments) == 1
            else http_response(200, {"items": [], "total": 0})
        )

    server: RawServer = raw_server(refuse_the_first)
    define(host=server.url)

    async def use(hook: MediaAsyncHook) -> None:
        first = asyncio.ensure_future(hook.list_page())
        await until(lambda: moments)
        limiter = hook._transport._sessions[-1].limiter
        await until(lambda: limiter._held_until > time.monotonic())
        await asyncio.gather(first, *(hook.list_page() for _ in range(5)))

    run(use)
    assert len(moments) == 7
    assert min(moments[1:]) - moments[0] >= 0.49


def test_event_loop_is_not_blocked_by_requests(define: Any, library: SandboxLibrary) -> None:
    ids = [library.store(f"file {number}", PNG) for number in range(50)]

    async def use(hook: MediaAsyncHook) -> float:
        stalls: list[float] = []

        async def watch() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.005)
                stalls.append(time.monotonic() - before)

        watching = asyncio.ensure_future(watch())
        await asyncio.gather(*(hook.get_media(media_id) for media_id in ids))
        watching.cancel()
        return max(stalls)

    run(use)  # what is imported when first used
    # The machine of a test is shared, so one good run counts; the benchmark measures.
    assert any(run(use) < 0.25 for _ in range(4))


def test_missing_file_is_a_file_error(define: Any) -> None:
    async def use(hook: MediaAsyncHook) -> None:
        with pytest.raises(MediaNotFoundError):
            await hook.get_media(404404)
        assert not await hook.exists(404404)

    run(use)


def test_sleep_of_a_flow_does_not_block_the_loop() -> None:
    others: list[str] = []

    def flow() -> Generator[Sleep, ApiResponse, str]:
        yield Sleep(0)
        return " ".join(others)

    async def other() -> None:
        others.append("had a turn")

    async def use(hook: MediaAsyncHook) -> str:
        task = asyncio.create_task(other())
        said: str = await hook.run_flow(flow())
        await task
        return said

    assert run(use) == "had a turn"

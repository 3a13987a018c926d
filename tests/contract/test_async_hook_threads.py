"""The async hook's threads: few, its own, off the loop, ended when a coroutine is cancelled or the hook is closed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._api import flows
from airflow_provider_media._transports.aio import MAX_THREADS
from airflow_provider_media.exceptions import MediaError
from airflow_provider_media.hooks.media import MediaAsyncHook
from tests.contract.helpers.raw_server import http_response
from tests.contract.helpers.until import until
from tests.helpers.doc_samples import ROOT, samples_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "airflow-media"]


@contextmanager
def silent_server(*, full: bool = False) -> Iterator[int]:
    """Give the port of a server that says nothing; a full one does not even take connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as stack:
        port = server.getsockname()[1]
        for _ in range(4 if full else 0):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        of_test.update(sockets_of(port))
        yield port
        of_test.clear()


of_test: set[str] = set()


def sockets_of(port: int) -> set[str]:
    """Return this process's sockets to a port, connected or connecting, without those of the test itself."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[2].endswith(f":{port:04X}")} & open_files() - of_test


def open_files() -> set[str]:
    """Return the open files of this process."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # it is that which lists them
            found.add(str(link.readlink()))
    return found


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("full", [False, True], ids=["says nothing", "takes no connection"])
@pytest.mark.parametrize("call", [lambda hook: hook.list_page(), lambda hook: hook.delete(1)], ids=["list", "delete"])
def test_a_cancelled_coroutine_leaves_no_socket_and_no_task(define: Any, scheme: str, call: Any, *, full: bool) -> None:
    async def main(port: int) -> float:
        async with MediaAsyncHook(define(host=f"{scheme}://127.0.0.1:{port}", timeout=30, connect_timeout=30)) as hook:
            task = asyncio.create_task(call(hook))
            await until(lambda: sockets_of(port))
            started = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            took = time.monotonic() - started
            assert sockets_of(port) == set()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return took

    with silent_server(full=full) as port:
        assert asyncio.run(main(port)) < 0.9  # less than a cancelled coroutine waits for a thread


def test_cancelling_aborts_no_other_request_of_the_hook(define: Any, library: SandboxLibrary) -> None:
    media_id = library.store("a", PNG)
    library.forget()
    library.fail("slow", "GET", delay_seconds=1, times=2)

    async def main() -> None:
        async with MediaAsyncHook(define()) as hook:
            first, second = (asyncio.create_task(hook.get_media(media_id)) for _ in range(2))
            await until(lambda: len(library.journal()) == 2)
            first.cancel()
            assert (await second).id == media_id
            assert [call["status"] for call in library.journal()].count(200) >= 1
        assert first.cancelled()

    asyncio.run(main())
    assert library.count("GET") == 2  # the second was not sent again


def test_a_connection_that_others_use_by_now_is_not_aborted(define: Any, library: SandboxLibrary) -> None:
    media_id = library.store("a", PNG)

    async def main() -> None:
        async with MediaAsyncHook(define()) as hook:
            for _ in range(100):
                ended, other = (asyncio.create_task(hook.get_media(media_id)) for _ in range(2))
                await asyncio.sleep(0.004)  # about when a response has come
                ended.cancel()
                assert (await other).id == media_id
                await asyncio.wait({ended})

    asyncio.run(main())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_closing_ends_all_threads_although_a_server_is_silent(define: Any, scheme: str) -> None:
    before = threads()

    async def main(port: int) -> None:
        hook = MediaAsyncHook(define(host=f"{scheme}://127.0.0.1:{port}", timeout=30, connect_timeout=30))
        tasks = [asyncio.create_task(hook.list_page()) for _ in range(2 * MAX_THREADS)]
        await until(lambda: len(threads()) - len(before) == MAX_THREADS)
        await until(lambda: sockets_of(port))
        started = time.monotonic()
        await hook.aclose()
        assert time.monotonic() - started < 1.9  # less than closing waits for what cannot be aborted
        assert set(threads()) <= set(before)
        for end in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(end, MediaError)
        await until(lambda: set(threads()) <= set(before))
        assert sockets_of(port) == set()

    with silent_server() as port:
        asyncio.run(main(port))


def test_a_closed_hook_can_be_used_again(define: Any, library: SandboxLibrary) -> None:
    before = threads()

    async def main() -> None:
        hook = MediaAsyncHook(define())
        for _ in range(3):
            assert (await hook.list_page()).total == 0
            await hook.aclose()
            assert set(threads()) <= set(before)

    asyncio.run(main())


def test_silent_server_does_not_block_other_connections(
    define: Any, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(port: int) -> float:
        silent = {"conn_type": "media", "host": f"http://127.0.0.1:{port}", "password": "a-key"}
        monkeypatch.setenv("AIRFLOW_CONN_MEDIA_SILENT", json.dumps(silent))
        async with MediaAsyncHook("media_silent") as hook, MediaAsyncHook(define()) as other:
            tasks = [asyncio.create_task(hook.list_page()) for _ in range(50)]
            await until(lambda: sockets_of(port))
            started = time.monotonic()
            for _ in range(10):
                await other.list_page()
            took = time.monotonic() - started
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            return took

    with silent_server() as port:
        assert asyncio.run(main(port)) < 20  # its timeout is 60 s


PROGRAM = """
import asyncio, sys, time
from airflow_provider_media.hooks.media import MediaAsyncHook

async def main():
    hook = MediaAsyncHook("media_async")
    tasks = [asyncio.ensure_future(hook.list_page()) for _ in range(20)]
    await asyncio.sleep(1)
    print("asked", time.time(), flush=True)  # and nobody closes the hook, or cancels

{end}
"""


@pytest.mark.parametrize("end", ["asyncio.run(main())", "asyncio.new_event_loop().run_until_complete(main())"])
def test_a_silent_server_does_not_keep_the_process_from_ending(define: Any, tmp_path: Path, end: str) -> None:
    with silent_server() as port:
        define(host=f"http://127.0.0.1:{port}", timeout=60)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(end=end)], check=True, capture_output=True, text=True, timeout=300
        )
        ended = time.time()
    asked = float(done.stdout.rpartition("asked ")[2].split()[0])
    assert ended - asked < 15


def test_default_executor_is_not_used(define: Any, library: SandboxLibrary, image: Path) -> None:
    media_id = library.store("a", PNG)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        run_in_executor = loop.run_in_executor

        def refuse_the_default(executor: Any, *work: Any) -> Any:
            assert executor is not None, "asyncio's default executor is used"
            return run_in_executor(executor, *work)

        loop.run_in_executor = refuse_the_default  # type: ignore[method-assign]
        async with MediaAsyncHook(define()) as hook:
            assert await hook.exists(media_id)
            assert (await hook.test_connection())[0]
            await hook.delete((await hook.upload(image)).media.id)

    asyncio.run(main())


def test_lists_are_parsed_off_the_loop(define: Any, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        library.store(f"file {number}", PNG)
    parsed_in: list[str] = []
    parse_page = flows.parse_page

    def parse_and_note(*arguments: Any) -> Any:
        parsed_in.append(threading.current_thread().name)
        return parse_page(*arguments)

    monkeypatch.setattr(flows, "parse_page", parse_and_note)

    async def main() -> None:
        async with MediaAsyncHook(define()) as hook:
            await hook.list_page()
            await hook.find_media("file 1")
            assert len([media async for media in hook.iter_media()]) == 3

    asyncio.run(main())
    assert parsed_in
    assert set(parsed_in) == {"airflow-media"}


def test_the_loop_is_free_while_a_callback_blocks(define: Any, library: SandboxLibrary, image: Path) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    async def main() -> int:
        counting = asyncio.create_task(count_turns())
        async with MediaAsyncHook(define()) as hook:
            await hook.upload(image, on_stored=lambda _: before.append(turns) or time.sleep(0.5))  # type: ignore[func-returns-value]
        counting.cancel()
        return turns

    before: list[int] = []
    assert asyncio.run(main()) - before[0] > 5


def test_an_upload_that_is_cancelled_ends_and_closes_its_file(define: Any, raw_server: Any, tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"\x00\x00\x00\x18ftypisom" + bytes(50_000_000))
    over = threading.Event()

    def hold(head: str) -> bytes:
        if head.startswith("POST"):
            over.wait(20)
        return http_response(200, {"items": [], "total": 0})

    server = raw_server(hold)

    async def main() -> float:
        async with MediaAsyncHook(define(host=server.url, timeout=30)) as hook:
            task = asyncio.create_task(hook.upload(video))
            await until(lambda: len(server.heads) == 2 and str(video) in open_files())  # its body is under way
            started = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert str(video) not in open_files()
            return time.monotonic() - started

    try:
        assert asyncio.run(main()) < 0.9
    finally:
        over.set()
    assert [line.split()[0] for line in server.lines].count("POST") == 1


def test_the_sample_of_the_documentation_uploads(
    define: Any, library: SandboxLibrary, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_DEFAULT", os.environ[f"AIRFLOW_CONN_{define().upper()}"])
    [sample] = [one for one in samples_of(ROOT / "docs" / "guides" / "hook.md") if "MediaAsyncHook" in one.text]
    namespace: dict[str, Any] = {}
    exec(sample.code, namespace)  # noqa: S102 - the project's own documentation
    assert len(asyncio.run(namespace["upload_all"]([image, image]))) == 2
    assert library.count("POST") in {1, 2}  # both may check before either is stored


def test_threads_end_with_their_calls(define: Any, library: SandboxLibrary) -> None:
    before = threads()

    async def main() -> None:
        async with MediaAsyncHook(define()) as hook:
            for _ in range(2):
                await asyncio.gather(*(hook.list_page() for _ in range(20)))
                await until(lambda: set(threads()) <= set(before))

    asyncio.run(main())

"""The asyncio transport: runs the exchanges of the blocking transport in threads; waits on the event loop.

asyncio's default executor is not used, because it is shared and joined at the loop's end.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import weakref
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tenacity import AsyncRetrying

from airflow_provider_media._api.flows import Sleep
from airflow_provider_media._api.protocol import ApiResponse
from airflow_provider_media._transports import rate_limit
from airflow_provider_media._transports.attempts import cancelled
from airflow_provider_media._transports.rate_limit import Turn, renew_in_children
from airflow_provider_media.exceptions import MediaError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_media._api.flows import Flow
    from airflow_provider_media._api.protocol import ApiRequest
    from airflow_provider_media._api.retry import RetryState
    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._transports.sync import SyncTransport

T = TypeVar("T")

UNAUTHORIZED = 401

MAX_THREADS = 8

ABORT_SECONDS = 1.0
"""Max wait of a cancelled coroutine for its thread, so that files and sockets are closed when it ends."""

CLOSE_SECONDS = 2.0
"""Max wait for threads that cannot be aborted, for example in a DNS lookup."""


class AsyncTransport:
    """One session with the server for the coroutines of one event loop.

    The steps of flows run in threads too, because they parse lists and read files.

    :param read_settings: reads the connection; called at first use and after a rejected API key.
    """

    def __init__(self, read_settings: Callable[[], Awaitable[Settings]]) -> None:
        self._read_settings = read_settings
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Reset the state; previous sessions and threads belong to the parent process."""
        self._sessions: list[SyncTransport] = []
        self._connection_reads = 0
        self._opening = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._closings = 0

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow and return its result."""
        closings = self._closings
        try:
            step = partial(next, flow)
            while True:
                command, result = await self.in_thread(_advance, step)
                if command is None:
                    return cast("T", result)
                try:
                    response = await self._perform(command, closings)
                except MediaError as error:
                    step = partial(flow.throw, error)
                else:
                    step = partial(flow.send, response)
        finally:
            with suppress(ValueError):  # a step that cannot be aborted is still running
                flow.close()

    async def send(self, request: ApiRequest, closings: int | None = None) -> ApiResponse:
        """Send one request of work that started before the next close, with retries.

        After a rejected API key the connection is read again once, because the key may have been rotated.
        """
        closings = self._closings if closings is None else closings
        session, read = await self._current(closings)
        try:
            return await self._send_with_retries(session, request)
        except MediaError as error:
            if error.status != UNAUTHORIZED:
                raise
            rejection = error
        # Not while the error is handled, because Airflow 2 reads the connection in a thread that keeps a handled error.
        renewed, _ = await self._current(closings, rejected=read)
        if renewed is session:
            raise rejection
        return await self._send_with_retries(renewed, request)

    async def settings(self) -> Settings:
        """Return the connection's settings as last read."""
        return (await self._current(self._closings))[0].settings

    async def in_thread(
        self, function: Callable[..., T], *arguments: Any, abort: Callable[[], None] | None = None
    ) -> T:
        """Call a blocking function in a thread of its own, in the caller's context; at most :data:`MAX_THREADS` run.

        They are daemon threads, so that a blocked one does not keep the event loop or the process alive.

        :param abort: called if the coroutine is cancelled while the function runs; should make it return.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a semaphore belongs to one loop
            self._loop, self._slots = loop, asyncio.Semaphore(MAX_THREADS)
        slots = self._slots
        await slots.acquire()
        future: Future[T] = Future()
        work = partial(contextvars.copy_context().run, function, *arguments)
        thread = threading.Thread(target=_execute, args=(future, work), name="airflow-media", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system's limit of threads
            slots.release()
            raise
        self._threads.add(thread)

        def end(ended: asyncio.Future[T]) -> None:
            slots.release()
            ended.exception()  # retrieved, because asyncio would log that of an abandoned call otherwise

        ended = asyncio.wrap_future(future)
        ended.add_done_callback(end)
        try:
            await asyncio.wait({ended})
        except asyncio.CancelledError:
            if abort:
                abort()
            await asyncio.wait({ended}, timeout=ABORT_SECONDS)
            raise
        return ended.result()

    async def close(self) -> None:
        """Abort running exchanges, close the connections and end the threads."""
        self._closings += 1
        while self._sessions:
            transport = self._sessions.pop()
            transport.cancel()
            transport.close()
        until = time.monotonic() + CLOSE_SECONDS
        while any(map(threading.Thread.is_alive, self._threads)) and time.monotonic() < until:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.002)

    async def _perform(self, command: ApiRequest | Sleep, closings: int) -> ApiResponse:
        if isinstance(command, Sleep):
            await rate_limit.sleep(command.seconds)
            return ApiResponse(status=0, headers={})
        return await self.send(command, closings)

    async def _current(self, closings: int, *, rejected: int | None = None) -> tuple[SyncTransport, int]:
        """Return the session and how often the connection was read; read it again if the key of that read was rejected.

        The previous session stays open, because other requests may be using it.
        """
        async with self._opening:
            self._check_open(closings)
            if not self._sessions or self._connection_reads == rejected:
                settings = await self._read_settings()
                if not (self._sessions and self._sessions[-1].settings == settings):
                    opened = await self.in_thread(_open, settings)
                    self._check_open(closings)
                    self._sessions.append(opened)
                self._connection_reads += 1
            return self._sessions[-1], self._connection_reads

    def _check_open(self, closings: int) -> None:
        """Raise if the transport was closed since; later work opens it again."""
        if closings != self._closings:
            raise cancelled()

    async def _send_with_retries(self, transport: SyncTransport, request: ApiRequest) -> ApiResponse:
        retry_state, options = transport.retries(request)
        return await AsyncRetrying(sleep=rate_limit.sleep, **options)(self._attempt, transport, request, retry_state)

    async def _attempt(self, transport: SyncTransport, request: ApiRequest, retry_state: RetryState) -> ApiResponse:
        turn = Turn()
        for seconds in transport.limiter.waits(turn, request, retry_state):
            await rate_limit.sleep(seconds)
        transfer = transport.new_transfer()
        return await self.in_thread(transport.exchange, request, retry_state, turn, transfer, abort=transfer.abort)


def _open(settings: Settings) -> SyncTransport:
    """Open a session; called in a thread, because the imports take 0.1 s."""
    from airflow_provider_media._transports.sync import SyncTransport

    return SyncTransport(settings)


def _advance(step: Callable[[], ApiRequest | Sleep]) -> tuple[ApiRequest | Sleep | None, Any]:
    """Return a flow's next command, or None and its result, because a future cannot carry a StopIteration."""
    try:
        return step(), None
    except StopIteration as end:
        return None, end.value


def _execute(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - passed on to the caller
        future.set_exception(error)

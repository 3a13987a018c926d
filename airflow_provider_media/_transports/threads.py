"""Threads for blocking calls of one event loop; asyncio's default executor is shared and joined at its end."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS = 8

IDLE_SECONDS = 10.0
"""An idle thread ends after this time."""

ABORT_SECONDS = 1.0
"""Max wait of a cancelled coroutine for its thread, so that files and sockets are closed when it ends."""

CLOSE_SECONDS = 2.0
"""Max wait for threads that cannot be aborted, for example in a DNS lookup."""


class Threads:
    """Run functions in at most :data:`MAX_THREADS` threads.

    They are daemon threads, so that a blocked one does not keep the event loop or the process alive.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._is_closed = False

    async def run(self, function: Callable[P, T], abort: Callable[[], None], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread, in the caller's context, and return its result.

        :param abort: called if the coroutine is cancelled while the function runs; should make it return.
        """
        future: Future[T] = Future()
        self._submit(future, partial(contextvars.copy_context().run, function, *args, **kwargs))
        ended = asyncio.wrap_future(future)
        try:
            await asyncio.wait({ended})
        except asyncio.CancelledError:
            if not future.cancel():
                abort()
                ended.add_done_callback(_ignore)
                await asyncio.wait({ended}, timeout=ABORT_SECONDS)
            raise
        return ended.result()

    def open(self) -> None:
        """Let threads wait for further jobs."""
        self._is_closed = False

    async def close(self) -> None:
        """End all threads; a job submitted later gets a thread that ends with it."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            ending = set(self._threads)
        until = time.monotonic() + CLOSE_SECONDS
        while any(thread.is_alive() for thread in ending) and time.monotonic() < until:
            await asyncio.sleep(0.002)
            ending |= self._threads

    def _submit(self, future: Future[Any], function: Callable[[], Any]) -> None:
        with self._changed:
            if self._idle <= len(self._jobs) and len(self._threads) < MAX_THREADS:
                thread = threading.Thread(target=self._work, name="airflow-media", daemon=True)
                thread.start()
                self._threads.add(thread)
            self._jobs.append((future, function))
            self._changed.notify()

    def _work(self) -> None:
        while job := self._next_job():
            _execute(*job)
            del job  # so that an idle thread keeps no object alive

    def _next_job(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            if not (self._jobs or self._is_closed):
                self._idle += 1
                self._changed.wait(IDLE_SECONDS)
                self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._threads.discard(threading.current_thread())
            return None


def _execute(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - passed on to the caller
        future.set_exception(error)
    else:
        future.set_result(result)


def _ignore(ended: asyncio.Future[Any]) -> None:
    """Retrieve the exception of an abandoned call, because asyncio would log it otherwise."""
    if not ended.cancelled():
        ended.exception()

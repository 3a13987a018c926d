"""A few threads of one event loop, for calls that block; asyncio's own are everybody's, and joined at its end."""

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
"""A thread that has nothing to do for so long ends."""

ABORT_SECONDS = 1.0
"""How long a cancelled coroutine waits for its thread, so that files and sockets are closed when it ends."""

CLOSE_SECONDS = 2.0
"""How long closing waits for threads that nothing can abort: one that looks up a host name, say."""


class Threads:
    """Run functions in at most :data:`MAX_THREADS` threads.

    They are daemons: one that hangs keeps neither the event loop nor the process from ending.
    """

    def __init__(self) -> None:
        """Start no thread yet."""
        self._changed = threading.Condition()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._is_closed = False

    async def run(self, function: Callable[P, T], abort: Callable[[], None], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a thread, in the caller's context, and return its result.

        :param function: what to call.
        :param abort: called when the coroutine is cancelled, if the function has begun; should make it end.
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
        """Let threads wait for more to do, from now on."""
        self._is_closed = False

    async def close(self) -> None:
        """End all threads; what is submitted later (by a flow that fails, say) starts one that ends with it."""
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
            _carry_out(*job)
            del job  # an idle thread keeps nothing alive

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


def _carry_out(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
        future.set_exception(error)
    else:
        future.set_result(result)


def _ignore(ended: asyncio.Future[Any]) -> None:
    """Retrieve the exception that nobody waits for any more; asyncio would log it."""
    if not ended.cancelled():
        ended.exception()

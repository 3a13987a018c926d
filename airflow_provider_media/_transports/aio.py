"""Carry calls on an event loop: each exchange is the blocking transport's, in a thread; all waiting is the loop's."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tenacity import AsyncRetrying

from airflow_provider_media._api.flows import Sleep
from airflow_provider_media._api.protocol import ApiResponse
from airflow_provider_media._transports import clock
from airflow_provider_media._transports.attempts import cancelled, new_retry_state, tenacity_kwargs
from airflow_provider_media._transports.forks import renew_in_children
from airflow_provider_media._transports.threads import Threads
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


class AsyncTransport:
    """One session with the server for the coroutines of one event loop.

    The steps of flows run in threads, too: they parse lists, and read files.

    :param read_settings: reads the connection; asked when first used, and once more after each rejected key.
    """

    def __init__(self, read_settings: Callable[[], Awaitable[Settings]]) -> None:
        """Prepare; the connection is not read yet."""
        self._read_settings = read_settings
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Begin anew; the sessions and threads before, if any, are another process's."""
        self._sessions: list[_Session] = []
        self._opening = asyncio.Lock()
        self._threads = Threads()
        self._closings = 0

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end.

        :raises MediaError: what the flow does not handle.
        """
        closings = self._closings
        try:
            step = partial(next, flow)
            while True:
                command, result = await self.in_thread(_advance, step)
                if command is None:
                    return cast("T", result)
                try:
                    reply = await self._perform(command, closings)
                except MediaError as problem:
                    step = partial(flow.throw, problem)
                else:
                    step = partial(flow.send, reply)
        finally:
            with suppress(ValueError):  # a step that nothing could abort is still running
                flow.close()

    async def send(self, call: ApiRequest, closings: int | None = None) -> ApiResponse:
        """Send one call until it succeeds or trying again cannot help, or is used up.

        A rejected key is read again once: it may have been rotated since the connection was read.

        :param closings: how often the transport was closed when what the call belongs to began.
        :raises MediaError: for the last failure.
        """
        closings = self._closings if closings is None else closings
        session = await self._current(closings)
        try:
            return await self._try(session.transport, call)
        except MediaError as problem:
            if problem.status != UNAUTHORIZED:
                raise
            renewed = await self._current(closings, rejected=session)
            if renewed.transport is session.transport:
                raise
            return await self._try(renewed.transport, call)

    async def settings(self) -> Settings:
        """Return the connection's settings, as they were read last."""
        return (await self._current(self._closings)).transport.settings

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function that blocks."""
        return await self._threads.run(function, _nothing, *arguments)

    async def close(self) -> None:
        """Abort what is under way, close the connections, and end the threads."""
        self._closings += 1
        while self._sessions:
            transport = self._sessions.pop().transport
            transport.cancel()
            transport.close()
        await self._threads.close()

    async def _perform(self, command: ApiRequest | Sleep, closings: int) -> ApiResponse:
        if isinstance(command, Sleep):
            await clock.sleep(command.seconds)
            return ApiResponse(status=0, headers={})
        return await self.send(command, closings)

    async def _current(self, closings: int, *, rejected: _Session | None = None) -> _Session:
        """Return the session; a new one when the server rejected the key of the present one.

        The one before is not closed yet: other calls may be under way on it.
        """
        async with self._opening:
            self._check_open(closings)
            if self._sessions and self._sessions[-1] is not rejected:
                return self._sessions[-1]
            self._threads.open()
            settings = await self._read_settings()
            if rejected and rejected.transport.settings == settings:
                # Known from now on as one that is not worth reading again for the calls rejected with this one.
                self._sessions[-1] = _Session(rejected.transport)
            else:
                opened = await self.in_thread(_open, settings)
                self._check_open(closings)
                self._sessions.append(_Session(opened))
            return self._sessions[-1]

    def _check_open(self, closings: int) -> None:
        """Go on only if nobody has closed the transport since; what begins later opens it again."""
        if closings != self._closings:
            raise cancelled()

    async def _try(self, transport: SyncTransport, call: ApiRequest) -> ApiResponse:
        retries = call.retry_state or new_retry_state(transport.settings, call)
        options = tenacity_kwargs(call, retries, key_was_accepted=lambda: transport.key_was_accepted)
        return await AsyncRetrying(sleep=clock.sleep, **options)(self._attempt, transport, call, retries)

    async def _attempt(self, transport: SyncTransport, call: ApiRequest, retries: RetryState) -> ApiResponse:
        turn = transport.limiter.turn()
        for seconds in turn.waits(call, retries):
            await clock.sleep(seconds)
        transfer = transport.new_transfer()
        return await self._threads.run(transport.exchange, transfer.abort, call, retries, turn, transfer)


@dataclass(frozen=True, eq=False, slots=True)
class _Session:
    """A blocking transport; two of the same differ, so that it can be told for which calls the key was read again."""

    transport: SyncTransport


def _open(settings: Settings) -> SyncTransport:
    """Open a session; import its libraries here, in a thread, because that takes 0.1 s."""
    from airflow_provider_media._transports.sync import SyncTransport

    return SyncTransport(settings)


def _advance(step: Callable[[], ApiRequest | Sleep]) -> tuple[ApiRequest | Sleep | None, Any]:
    """Return a flow's next command, or None and its result: a StopIteration cannot leave a thread through a future."""
    try:
        return step(), None
    except StopIteration as end:
        return None, end.value


def _nothing() -> None:
    """Abort nothing: what has begun comes to its end soon."""

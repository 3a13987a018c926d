"""Running the sandbox: in the foreground for the command line, in a thread for tests."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_media.sandbox.app import build_app
from airflow_provider_media.sandbox.delays import Pauses
from airflow_provider_media.sandbox.fault_effects import TRANSPORT
from airflow_provider_media.sandbox.library import Library
from airflow_provider_media.sandbox.settings import HOST, MEDIA_PATH, SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

_MAX_HEAD_BYTES = 256 * 1024
_IDLE_SECONDS = 75  # longer than clients keep idle connections, so that none is closed under a request
_STOP_SECONDS = 1


class _Protocol(H11Protocol):
    """HTTP/1.1 whose application can get at the connection, for the faults."""

    transports: WeakSet[asyncio.Transport]
    """Where the connections are noted, each for as long as it lives."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transports.add(transport)
        app = self.app

        async def app_with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, TRANSPORT: transport}, receive, send)

        self.app = app_with_transport

    def shutdown(self) -> None:
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete:
            self.transport.abort()  # the rest of an upload may never come
        else:
            super().shutdown()


class _Server(uvicorn.Server):
    """A server that tells when it is ready, and that ends the pauses when it is to stop."""

    def __init__(self, config: uvicorn.Config, pauses: Pauses, transports: WeakSet[asyncio.Transport]) -> None:
        super().__init__(config)
        self._pauses = pauses
        self._transports = transports
        self.on_ready: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.on_ready is not None:
            self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._pauses.end_all()
        await super().shutdown(sockets)
        for transport in list(self._transports):
            transport.abort()  # one that is still closing in order would be left open with the loop's end
        await asyncio.sleep(0)  # in which the loop carries that out


class Sandbox:
    """One sandbox, bound to its port and with its library open from the start.

    :raises OSError: the port is taken, the data folder cannot be made, or the certificate cannot be read.
    :raises LibraryBusyError: another sandbox uses the data folder.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        pauses, transports = Pauses(), WeakSet[asyncio.Transport]()
        with ExitStack() as undo:
            self._socket = undo.enter_context(socket.create_server((HOST, settings.port)))
            # Inherited by each connection: else head and body of an answer go out 40 ms apart (Nagle's algorithm).
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.port: int = self._socket.getsockname()[1]
            self.base_url = f"{settings.scheme}://{HOST}:{self.port}"
            self.data_dir = settings.data_dir or Path(
                undo.enter_context(tempfile.TemporaryDirectory(prefix="media-sandbox-"))
            )
            library = Library(self.data_dir)
            undo.callback(library.close)
            config = uvicorn.Config(
                build_app(settings, library=library, base_url=self.base_url, pauses=pauses),
                http=type("_NotingProtocol", (_Protocol,), {"transports": transports}),
                ws="none",
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=_STOP_SECONDS,
                ssl_certfile=settings.tls_certificate,
                ssl_keyfile=settings.tls_key,
            )
            config.load()
            self._server = _Server(config, pauses, transports)
            self._undo = undo.pop_all()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until stopped, then let go of everything; call it once.

        :param on_ready: called when the first request can be answered.
        """
        self._server.on_ready = on_ready
        with self._undo:
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ask the sandbox to stop; from any thread."""
        self._server.should_exit = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSandbox:
    """A sandbox that answers.

    :param base_url: scheme, host and port; no slash at the end.
    :param api_key: what ``X-Api-Key`` must be.
    :param data_dir: where the library is.
    :param stop: stops the sandbox and waits until it is gone; calling it again does nothing.
    """

    base_url: str
    api_key: str = field(repr=False)
    port: int
    data_dir: Path
    stop: Callable[[], None]

    @property
    def media_url(self) -> str:
        """The address of the media calls."""
        return self.base_url + MEDIA_PATH


@contextmanager
def run_in_thread(settings: SandboxSettings | None = None) -> Iterator[RunningSandbox]:
    """Run a sandbox for as long as the block lasts.

    :param settings: None for the defaults: a free port, a temporary library, openapi.yaml's dialect.
    :raises RuntimeError: it ended before it was ready; its thread's traceback says why.
    """
    settings = settings or SandboxSettings()
    sandbox = Sandbox(settings)
    ready_or_over = threading.Event()
    ready = False

    def note_ready() -> None:
        nonlocal ready
        ready = True
        ready_or_over.set()

    def serve() -> None:
        try:
            sandbox.run(note_ready)
        finally:
            ready_or_over.set()

    def stop() -> None:
        sandbox.stop()
        thread.join()

    thread = threading.Thread(target=serve, name="media-sandbox", daemon=True)
    thread.start()
    ready_or_over.wait()
    if not ready:
        thread.join()
        raise RuntimeError("The sandbox ended before it was ready.")
    try:
        yield RunningSandbox(
            base_url=sandbox.base_url,
            api_key=settings.api_key,
            port=sandbox.port,
            data_dir=sandbox.data_dir,
            stop=stop,
        )
    finally:
        stop()

"""Run the sandbox in the foreground (command line) or in a thread (tests)."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_media.sandbox.app import build_app
from airflow_provider_media.sandbox.faults import TRANSPORT
from airflow_provider_media.sandbox.library import Library
from airflow_provider_media.sandbox.settings import HOST, MEDIA_PATH, SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from airflow_provider_media.sandbox.gateway import Gateway

_MAX_HEAD_BYTES = 256 * 1024
_IDLE_SECONDS = 75  # longer than clients keep idle connections, so that the server does not close one during a request
_STOP_SECONDS = 1


class _Protocol(H11Protocol):
    """HTTP/1.1 protocol that gives the application access to the connection's transport, for faults."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def app_with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, TRANSPORT: transport}, receive, send)

        self.app = app_with_transport

    def shutdown(self) -> None:
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete:
            self.transport.abort()  # the rest of the upload may never arrive
        else:
            super().shutdown()


class _Server(uvicorn.Server):
    """A server with a ready callback that ends the delays of faults at shutdown."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway
        self.on_ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.stopping.set()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # a transport that is still closing would stay open when the loop ends
        await asyncio.sleep(0)  # lets the loop close the transports


class Sandbox:
    """A sandbox with its port bound and its library open."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.api_key = settings.api_key
        with ExitStack() as undo:
            self._socket = undo.enter_context(socket.create_server((HOST, settings.port)))
            # Connections inherit it; otherwise Nagle's algorithm delays a response's body by 40 ms.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.port: int = self._socket.getsockname()[1]
            self.base_url = f"{'https' if settings.tls_certificate else 'http'}://{HOST}:{self.port}"
            self.data_dir = settings.data_dir or Path(
                undo.enter_context(tempfile.TemporaryDirectory(prefix="media-sandbox-"))
            )
            library = undo.enter_context(closing(Library(self.data_dir)))
            gateway = build_app(settings, library=library, base_url=self.base_url)
            config = uvicorn.Config(
                gateway,
                http=_Protocol,
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
            self._server = _Server(config, gateway)
            self._undo = undo.pop_all()

    def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until stopped, then release all resources. Call it once."""
        self._server.on_ready = on_ready
        with self._undo:
            self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Stop the sandbox soon, from another thread."""
        self._server.should_exit = True

    @property
    def media_url(self) -> str:
        """The URL of the media collection."""
        return self.base_url + MEDIA_PATH


@contextmanager
def run_in_thread(settings: SandboxSettings | None = None) -> Iterator[Sandbox]:
    """Run a sandbox for the duration of the context.

    :raises RuntimeError: the sandbox ended before it was ready; see its thread's traceback.
    """
    sandbox = Sandbox(settings or SandboxSettings())
    ready = threading.Event()
    thread = threading.Thread(target=sandbox.run, args=(ready.set,), name="media-sandbox", daemon=True)
    thread.start()
    while not ready.wait(0.1):
        if not thread.is_alive():
            raise RuntimeError("The sandbox ended before it was ready.")
    try:
        yield sandbox
    finally:
        sandbox.stop()
        thread.join()

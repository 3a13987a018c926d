"""A raw server that misbehaves as no well-built one can, and a hook that talks to it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_media.hooks.media import MediaHook


ONE_FILE = {"id": 7, "name": "older.png", "mimeType": "image/png", "size": 1, "url": "http://127.0.0.1/7"}


class Exchange:
    """One request at the raw server, and the ways to respond.

    :ivar received: bytes of the body read so far.
    """

    def __init__(self, sock: socket.socket, line: str, headers: dict[str, str], body_start: bytes) -> None:
        self.sock = sock
        self.line = line
        self.headers = headers
        self.received = bytearray(body_start)
        self.length = int(headers.get("content-length", "0"))

    def read(self, count: int) -> None:
        """Read on until so many bytes of the body are here, or it ends."""
        while len(self.received) < min(count, self.length):
            data = self.sock.recv(65536)
            if not data:
                return
            self.received += data

    def read_all(self) -> None:
        """Read the whole body."""
        self.read(self.length)

    @property
    def is_whole(self) -> bool:
        """Whether the body's declared length has arrived."""
        return len(self.received) >= self.length

    def respond(self, status: int, value: object, *headers: str) -> None:
        """Send a JSON response."""
        body = json.dumps(value).encode()
        head = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
        self.sock.sendall("\r\n".join([*head, "", ""]).encode() + body)

    def hang_up_politely(self) -> None:
        """End our side and drain theirs, as web servers do (a lingering close)."""
        with suppress(OSError):
            if isinstance(self.sock, ssl.SSLSocket):
                timeout = self.sock.gettimeout()
                self.sock.settimeout(0)
                with suppress(OSError):
                    self.sock.unwrap()  # announces the end, and does not wait for a client that is still sending
                self.sock = socket.socket(fileno=self.sock.detach())
                self.sock.settimeout(timeout)
            self.sock.shutdown(socket.SHUT_WR)
        self.drain()
        self.sock.close()

    def drain(self) -> None:
        """Read until the client leaves."""
        with suppress(OSError):
            while data := self.sock.recv(65536):
                self.received += data


class RawServer:
    """Serves each connection with a function of the test's; remembers what came.

    :ivar listed: the files in its list, besides an older one; also returned by id.
    :ivar lists: whether it responds to requests for the list, or stays silent.
    :ivar unanswered: how often it said nothing.
    """

    def __init__(
        self, on_post: Callable[[Exchange], None], context: ssl.SSLContext | None, receive_buffer: int
    ) -> None:
        self._posts: list[Exchange] = []
        self._came = threading.Condition()
        self.listed: list[dict[str, object]] = []
        self.lists = True
        self.unanswered = 0
        self._on_post = on_post
        self._context = context
        self._listener = socket.socket()
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.base_url = f"http{'s' if context else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def posts(self) -> list[Exchange]:
        """The uploads seen, in order; at least one is awaited."""
        return self.await_posts(1)

    def await_posts(self, count: int) -> list[Exchange]:
        """Return the uploads in order; wait for the count, because a client may fail before its request is read."""
        with self._came:
            self._came.wait_for(lambda: len(self._posts) >= count, timeout=10)
            return list(self._posts)

    def close(self) -> None:
        """Shut all connections down; each one's thread closes it.

        A thread that is about to read or write would otherwise do so on the next socket of the same number.
        """
        for sock in (self._listener, *self._connections):
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(0.2)  # some wait for something else

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    sock, _ = self._listener.accept()
                except OSError:  # shut down: the test is over
                    return
                self._connections.append(sock)
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        if self._context:
            try:
                sock = self._context.wrap_socket(sock, server_side=True)
            except OSError:
                return
            self._connections.append(sock)
        with sock, suppress(OSError):  # the client broke off, which is what many tests are about
            while exchange := self._read_head(sock):
                if exchange.line.startswith("POST"):
                    with self._came:
                        self._posts.append(exchange)
                        self._came.notify_all()
                    self._on_post(exchange)
                elif not self.lists:
                    self.unanswered += 1
                    exchange.drain()
                elif found := [media for media in self.listed if f"/media/{media['id']} " in exchange.line]:
                    exchange.respond(200, found[0])
                else:
                    listed = [*reversed(self.listed), ONE_FILE]
                    exchange.respond(200, {"content": listed, "totalElements": len(listed)})

    @staticmethod
    def _read_head(sock: socket.socket) -> Exchange | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return None
            data += more
        head, _, body_start = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        return Exchange(sock, line, headers, body_start)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    from tests.contract.helpers.certificates import write_certificate

    return write_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def raw_server(certificate: tuple[Path, Path]) -> Iterator[Callable[..., RawServer]]:
    """Start raw servers: ``raw_server(on_post, tls=False)``."""
    servers: list[RawServer] = []

    def start(on_post: Callable[[Exchange], None], *, tls: bool = False, receive_buffer: int = 0) -> RawServer:
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        servers.append(RawServer(on_post, context, receive_buffer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def hook_for(monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]) -> Callable[..., MediaHook]:
    """Make a hook for a base address: ``hook_for(base_url, timeout=1)``."""
    from airflow_provider_media.hooks.media import MediaHook

    monkeypatch.setattr("airflow_provider_media._api.retry.FIRST_DELAY_SECONDS", 0.01)

    def make(base_url: str, *, key: str = "the-key", **extra: object) -> MediaHook:
        extra = {"verify": str(certificate[0]), "timeout": 3, "settle_seconds": 0, "max_attempts": 3, **extra}
        connection = {"conn_type": "media", "host": base_url, "password": key, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_MEDIA_DEFAULT", json.dumps(connection))
        return MediaHook()

    return make


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    """64 MiB that call themselves an MP4; more than all buffers between a client and a server hold."""
    path = tmp_path / "big.mp4"
    with path.open("wb") as stream:
        stream.write(b"\0\0\0\x18ftypisom" + b"\0" * 12)
        stream.truncate(64 * 1024 * 1024)
    return path

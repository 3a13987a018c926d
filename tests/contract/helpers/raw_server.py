"""A server that sends raw bytes, to test invalid responses; also usable as a proxy."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

_READ_BYTES = 256 * 1024


def http_response(status: int, value: Any = "", *headers: str, connection: str = "close") -> bytes:
    """Return an HTTP response; bytes and strings are the body, other values are encoded as JSON."""
    body = value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
    head = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(body)}", f"Connection: {connection}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


class RawServer:
    """Reads each complete request, records its head, and sends the test's response.

    :param on_request: called with the head of a request; returns the bytes of the response, or an iterable of them. A
        ConnectionResetError raised by the iterable resets the connection.
    :param context: the TLS context; None for plain HTTP.
    :param keeps: whether to serve several requests on one connection.
    :param bodies: a list to append the request bodies to.
    """

    def __init__(
        self,
        on_request: Callable[[str], bytes | Iterable[bytes]],
        context: ssl.SSLContext | None = None,
        *,
        keeps: bool = False,
        bodies: list[bytes] | None = None,
    ) -> None:
        self._on_request = on_request
        self._context = context
        self._keeps = keeps
        self._bodies = bodies
        self._current: socket.socket | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http{'s' if context else ''}://{self.host}"
        self.heads: list[str] = []
        """The heads of the requests."""
        self.body_bytes: list[int] = []
        """The sizes of the request bodies."""
        self.connections = 0
        """The number of connections."""
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in filter(None, (self._socket, self._current)):
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    @property
    def lines(self) -> list[str]:
        """The first lines of the requests."""
        return [head.partition("\r\n")[0] for head in self.heads]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection, suppress(OSError):
                connection.settimeout(10)
                with self._wrap(connection) as wrapped:
                    self._current = wrapped
                    while self._handle(wrapped) and self._keeps:
                        pass

    def _wrap(self, connection: socket.socket) -> AbstractContextManager[socket.socket]:
        return self._context.wrap_socket(connection, server_side=True) if self._context else nullcontext(connection)

    def _handle(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            block = connection.recv(_READ_BYTES)
            if not block:
                return False
            data += block
        head, _, body = data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        self.heads.append(text)
        fields = dict(line.lower().split(": ", 1) for line in text.split("\r\n")[1:])
        size = len(body)
        buffer = bytearray(_READ_BYTES)
        while size < int(fields.get("content-length", "0")):
            if not (count := connection.recv_into(buffer)):
                return False  # the client disconnected
            size += count
            body += buffer[:count] if self._bodies is not None else b""
        if self._bodies is not None and size:
            self._bodies.append(body)
        self.body_bytes.append(size)
        response = self._on_request(text)
        try:
            for block in [response] if isinstance(response, bytes) else response:
                connection.sendall(block)
        except ConnectionResetError:
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )  # so that closing resets the connection
            return False
        return True

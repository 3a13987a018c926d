"""A proxy in front of the sandbox that can hold an upload at a chosen point until the test releases it."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests

_MAX_HOLD_SECONDS = 120
_BLOCK_BYTES = 64 * 1024
_DROPPED_HEADERS = {"host", "connection", "content-length", "transfer-encoding", "server", "date"}


class Hold:
    """A point where uploads wait while it is closed; it is initially open."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        """Set when an upload has reached the closed point."""
        self._open = threading.Event()
        self._open.set()

    def close(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def pass_through(self) -> None:
        if not self._open.is_set():
            self.reached.set()
            self._open.wait(_MAX_HOLD_SECONDS)


class Gate:
    """Forwards complete requests.

    :param target: the sandbox's base URL.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.in_body = Hold()
        """After the first block of an upload's body."""
        self.before_storing = Hold()
        """After the complete body was received, before the sandbox gets the request."""
        self.before_response = Hold()
        """After the sandbox has stored the file, before the client gets the response."""
        self.completed: list[str] = []
        """The methods of the requests with a response."""
        self.interrupted: list[tuple[int, int]] = []
        """The received and the declared bytes of incomplete bodies."""
        self._server = _Server(self)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for hold in (self.in_body, self.before_storing, self.before_response):
            hold.open()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, gate: Gate) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gate = gate

    def handle_error(self, *arguments: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # the client was killed
            super().handle_error(*arguments)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _forward(self) -> None:
        gate = self.server.gate
        declared = int(self.headers.get("Content-Length", "0"))
        body = self._read(declared)
        if len(body) < declared:
            gate.interrupted.append((len(body), declared))
            self.close_connection = True
            return
        is_upload = self.command == "POST"
        if is_upload:
            gate.before_storing.pass_through()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _DROPPED_HEADERS}
        url = gate.target + self.path
        response = requests.request(self.command, url, headers=headers, data=bytes(body), timeout=30)
        if is_upload:
            gate.before_response.pass_through()
        with suppress(OSError):  # the client was killed
            self._respond(response)
        gate.completed.append(self.command)

    do_GET = do_POST = do_DELETE = _forward  # noqa: N815 - names of http.server

    def _read(self, declared: int) -> bytearray:
        body = bytearray()
        with suppress(ConnectionResetError):
            while len(body) < declared:
                block = self.rfile.read1(min(_BLOCK_BYTES, declared - len(body)))  # type: ignore[attr-defined]
                if not block:
                    break
                body += block
                self.server.gate.in_body.pass_through()
        return body

    def _respond(self, response: requests.Response) -> None:
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            if name.lower() not in _DROPPED_HEADERS:
                self.send_header(name, value)
        if response.content:
            self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        self.wfile.write(response.content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

"""A proxy in front of the sandbox that keeps an upload back at a chosen point, until the test lets it go on."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests

_LONGEST_HOLD_SECONDS = 120
_BLOCK_BYTES = 64 * 1024
_NOT_PASSED_ON = {"host", "connection", "content-length", "transfer-encoding", "server", "date"}


class Hold:
    """A point where uploads stop while it is shut; it is open at first."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        """An upload waits here, or did."""
        self._open = threading.Event()
        self._open.set()

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def pass_through(self) -> None:
        if not self._open.is_set():
            self.reached.set()
            self._open.wait(_LONGEST_HOLD_SECONDS)


class Gate:
    """Passes every request on as a whole.

    :param target: the sandbox's base address.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.in_body = Hold()
        """After the first block of an upload's body."""
        self.before_storing = Hold()
        """When the whole body is here, and the sandbox has nothing yet."""
        self.before_answer = Hold()
        """When the sandbox has answered, and so stored, and the client knows nothing yet."""
        self.answered: list[str] = []
        """The methods of the requests that were answered."""
        self.broken_off: list[tuple[int, int]] = []
        """Of bodies that ended early: the bytes that came, and the bytes declared."""
        self._server = _Server(self)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for hold in (self.in_body, self.before_storing, self.before_answer):
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

    def _pass_on(self) -> None:
        gate = self.server.gate
        declared = int(self.headers.get("Content-Length", "0"))
        body = self._read(declared)
        if len(body) < declared:
            gate.broken_off.append((len(body), declared))
            self.close_connection = True
            return
        is_upload = self.command == "POST"
        if is_upload:
            gate.before_storing.pass_through()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
        answer = requests.request(self.command, gate.target + self.path, headers=headers, data=bytes(body), timeout=30)
        if is_upload:
            gate.before_answer.pass_through()
        with suppress(OSError):  # the client was killed
            self._answer(answer)
        gate.answered.append(self.command)

    do_GET = do_POST = do_DELETE = _pass_on  # noqa: N815 - the names that http.server calls

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

    def _answer(self, answer: requests.Response) -> None:
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        if answer.content:
            self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

"""An HTTP server of files whose responses a test can change."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class FileServer:
    """The files by path, and the requests.

    :param port: of 127.0.0.1.
    :param has_ranges: whether it obeys ``Range``.
    :param respond: replaces the response: receives the handler, and returns False to continue.
    """

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"v1"'})
    has_ranges: bool = True
    respond: Callable[[Any], bool] = lambda _: False
    requests: list[Any] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the URL of a path."""
        return f"http://{host}:{self.port}{path}"

    def put(self, path: str, content: bytes) -> str:
        """Store a file; return its URL."""
        self.files[path] = content
        return self.url(path)


@contextmanager
def serve_files() -> Iterator[FileServer]:
    """Run a server until the end of the context."""
    server = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests.append(self)
            if server.respond(self):
                return
            content = server.files.get(self.path.partition("?")[0])
            if content is None:
                self.reply(404, b"no such file")
                return
            start, end = 0, len(content)
            byte_range = self.headers.get("Range", "") if server.has_ranges else ""
            if byte_range:
                first, _, last = byte_range.removeprefix("bytes=").partition("-")
                start, end = int(first), min(int(last) + 1, end) if last else end
                server_range = f"bytes {start}-{end - 1}/{len(content)}"
                self.reply(206, content[start:end], **{"Content-Range": server_range}, **server.headers)
            else:
                self.reply(200, content, **server.headers)

        def reply(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.port = http.server_address[1]
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        http.shutdown()

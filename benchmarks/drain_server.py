"""A server that receives, counts and discards uploads as fast as Python can; its responses are those of a Media API.

    python benchmarks/drain_server.py [--tls CERTIFICATE KEY] [--latency SECONDS]

Prints its base URL and serves until it is terminated. ``GET /requests`` returns the number of requests.
Stores the name, type and size of each upload, and lists, returns and deletes them.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import threading
import time
from itertools import count
from urllib.parse import parse_qs, urlsplit

BUFFER_BYTES = 1024 * 1024
_ids = count(1)
_requests = count(1)
_last = {"requests": 0}


class Library:
    """Metadata of the uploads; it uses only atomic dict operations, so that threads need no lock."""

    def __init__(self) -> None:
        """Create an empty library."""
        self._files: dict[int, dict[str, object]] = {}

    def store(self, media: dict[str, object]) -> None:
        """Store a file's metadata."""
        self._files[media["id"]] = media

    def handle(self, method: str, target: str) -> tuple[int, object]:
        """List, return or delete; return the status and the JSON value."""
        url = urlsplit(target)
        last = url.path.rpartition("/")[2]
        if not last.isdigit():
            query = parse_qs(url.query)
            page, limit = (int(query.get(name, [default])[0]) for name, default in (("page", 0), ("limit", 10)))
            files = sorted(
                self._files.values(), key=lambda media: media["id"], reverse=query.get("sortOrder") == ["desc"]
            )
            return 200, {"content": files[page * limit :][:limit], "totalElements": len(files)}
        media = self._files.pop(int(last), None) if method == "DELETE" else self._files.get(int(last))
        if media is None:
            return 404, {}
        return (204, None) if method == "DELETE" else (200, media)


class Connection:
    """Serves one client until it disconnects."""

    def __init__(self, sock: socket.socket, latency: float, library: Library) -> None:
        """Use the socket."""
        self.sock = sock
        self.latency = latency
        self.library = library
        self.buffer = memoryview(bytearray(BUFFER_BYTES))
        self.rest = b""

    def serve(self) -> None:
        """Handle requests one after the other."""
        with self.sock:
            while head := self.read_head():
                _last["requests"] = next(_requests)
                time.sleep(self.latency)
                self.handle(*head)

    def read_head(self) -> tuple[str, dict[str, str]] | None:
        """Read a request line and headers; return None after a disconnect."""
        while b"\r\n\r\n" not in self.rest:
            received = self.sock.recv(65536)
            if not received:
                return None
            self.rest += received
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        return line, headers

    def handle(self, line: str, headers: dict[str, str]) -> None:
        """Drain the body, if any, and respond."""
        if line.startswith("POST"):
            if headers.get("expect"):
                self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.fields = {"name": None}
            size = self.drain(headers)
            media = {**self.fields, "id": next(_ids), "size": size, "url": "http://127.0.0.1/none"}
            self.library.store(media)
            self.respond(201, media)
        elif line.startswith("GET /requests"):
            self.respond(200, dict(_last))
        else:
            self.respond(*self.library.handle(*line.split(" ")[:2]))

    def drain(self, headers: dict[str, str]) -> int:
        """Receive a multipart body with the file as its last part; return the file's size."""
        if "content-length" not in headers:
            return self.drain_chunks()
        remaining = int(headers["content-length"])
        boundary = headers["content-type"].partition("boundary=")[2].strip('"')
        start = self.rest
        while b"\r\n\r\n" not in start.partition(b"filename=")[2]:
            start += self.sock.recv(min(65536, remaining - len(start)))
        parts_head, _, after_name = start.partition(b"filename=")
        file_head = after_name.partition(b"\r\n\r\n")[0]
        self.fields = {
            "name": parts_head.partition(b'name="name"')[2].partition(b"\r\n\r\n")[2].partition(b"\r\n")[0].decode(),
            "mimeType": file_head.partition(b"Content-Type: ")[2].partition(b"\r\n")[0].decode(),
        }
        overhead = len(parts_head) + len(b"filename=") + len(file_head) + 4 + len(boundary) + len("\r\n----\r\n")
        size = remaining - overhead
        remaining -= len(start)
        self.rest = b""
        while remaining > 0:
            received = self.sock.recv_into(self.buffer, min(remaining, BUFFER_BYTES))
            if not received:
                raise ConnectionError
            remaining -= received
        return size

    def drain_chunks(self) -> int:
        """Receive a chunked body, whose file size is not declared; return 0."""
        tail = self.rest
        while not tail.endswith(b"0\r\n\r\n"):
            received = self.sock.recv_into(self.buffer)
            tail = (tail + bytes(self.buffer[max(0, received - 8) : received]))[-8:]
        self.rest = b""
        return 0

    def respond(self, status: int, value: object) -> None:
        """Send a JSON response."""
        body = b"" if value is None else json.dumps(value).encode()
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(head.encode() + body)


def serve(context: ssl.SSLContext | None, latency: float, library: Library) -> None:
    """Accept clients forever."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        print(f"http{'s' if context else ''}://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            client, _ = server.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_serve_one, args=(client, context, latency, library), daemon=True).start()


def _serve_one(client: socket.socket, context: ssl.SSLContext | None, latency: float, library: Library) -> None:
    try:
        sock = context.wrap_socket(client, server_side=True) if context else client
        Connection(sock, latency, library).serve()
    except OSError:  # the client disconnected
        client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each response")
    arguments = parser.parse_args()
    tls = None
    if arguments.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*arguments.tls)
    serve(tls, arguments.latency, Library())

"""An in-memory media library that responds as fast as Python can, adds files on request and records every request.

    python benchmarks/library_server.py FILES

Prints its base URL and serves until it is terminated. Each file's JSON is rendered once, so that a page is a slice of a
list. ``GET /by-name/NAME`` returns one file or 404; the Media API has no such route, but HttpSensor can poll only a
fixed URL. ``POST /appear?count=N&seconds=S`` adds N files, evenly spread over S seconds, with the names of
``awaited_name``; ``GET /record`` returns the times of the additions and of all requests, in seconds of the monotonic
clock. These two routes are not recorded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from urllib.parse import parse_qsl, urlsplit

MEDIA_PATH = "/partner-gateway/v1/media"
BY_NAME_PATH = "/by-name/"


def awaited_name(number: int) -> str:
    """Return the name of the n-th added file, from 1; its id is the initial size of the library plus n."""
    return f"awaited-{number:06d}.png"


class Library:
    """The files, with ids from 1, and the recorded times.

    :param files: initial number of files.
    """

    def __init__(self, files: int) -> None:
        """Render the files."""
        self.rendered: list[bytes] = []
        self.by_name: dict[str, bytes] = {}
        self.appeared: dict[str, float] = {}
        self.requests: list[float] = []
        for number in range(1, files + 1):
            self.add(f"library-{number:06d}.png")

    def add(self, name: str) -> None:
        """Store one more file."""
        number = len(self.rendered) + 1
        self.rendered.append(
            f'{{"id":{number},"name":"{name}","mimeType":"image/png","size":{200_000 + number},'
            f'"url":"https://media.example/files/{number}/{name}","description":null,"folderId":7,'
            f'"width":1440,"height":720,"createdAt":"2026-01-05T08:00:00Z"}}'.encode()
        )
        self.by_name[name] = self.rendered[-1]

    def schedule(self, count: int, seconds: float) -> None:
        """Add files one by one, evenly spread over the time."""
        loop = asyncio.get_running_loop()
        first = len(self.appeared)
        for number in range(1, count + 1):
            loop.call_later(seconds * (number - 0.5) / count, self._appear, awaited_name(first + number))

    def _appear(self, name: str) -> None:
        self.add(name)
        self.appeared[name] = time.monotonic()

    def page(self, query: dict[str, str]) -> bytes:
        """Render a page of the list."""
        limit = int(query.get("limit", 10))
        start, total = int(query.get("page", 0)) * limit, len(self.rendered)
        if query.get("sortOrder") == "desc":
            items = self.rendered[max(0, total - start - limit) : max(0, total - start)][::-1]
        else:
            items = self.rendered[start : start + limit]
        return b'{"content":[%b],"totalElements":%d}' % (b",".join(items), total)

    def one(self, media_id: str) -> bytes | None:
        """Find a file by its id."""
        number = int(media_id)
        return self.rendered[number - 1] if 0 < number <= len(self.rendered) else None


class Client(asyncio.Protocol):
    """One connection.

    :param library: the library to serve.
    """

    transport: asyncio.Transport

    def __init__(self, library: Library) -> None:
        """Start with an empty buffer."""
        self._library = library
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request; requests have no body."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            body = self._handle(head.split(b" ", 2)[1].decode("latin-1"))
            status = b"404 Not Found" if body is None else b"200 OK"
            body = body or b'{"message":"no such file"}'
            self.transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )

    def _handle(self, target: str) -> bytes | None:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        if parts.path == "/appear":
            self._library.schedule(int(query["count"]), float(query["seconds"]))
            return b"{}"
        if parts.path == "/record":
            return json.dumps({"requests": self._library.requests, "appeared": self._library.appeared}).encode()
        self._library.requests.append(time.monotonic())
        if parts.path == MEDIA_PATH:
            return self._library.page(query)
        if parts.path.startswith(BY_NAME_PATH):
            return self._library.by_name.get(parts.path.removeprefix(BY_NAME_PATH))
        return self._library.one(parts.path.removeprefix(MEDIA_PATH + "/"))


async def serve(files: int) -> None:
    """Serve forever."""
    library = Library(files)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(library), "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=int, help="initial number of files")
    asyncio.run(serve(parser.parse_args().files))

"""Measure costs that must not grow with the library: requests of a lookup by name, memory of a large page.

    make bench-scale        # or: python benchmarks/scale.py --files 900 10000 --write

Prints one table; ``--write`` puts it into docs/explanation/scale.md. A row is a function in ``ROWS``, which yields its
results. The library is generated: the list of a million files is computed page by page, by name and by id.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCUMENT = Path(__file__).parents[1] / "docs/explanation/scale.md"
START, END = "<!-- table of make bench-scale -->", "<!-- end of the table -->"
MEDIA_PATH = "/partner-gateway/v1/media"
PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 200


@dataclass(frozen=True)
class Row:
    """One line of the table.

    :param work: what was measured.
    :param result: the figures.
    :param peer: the same with the whole list (computed), or with another client; or a dash.
    """

    work: str
    result: str
    peer: str = "-"


@dataclass
class GeneratedLibrary:
    """A library that stores only its names, in both orders.

    :param files: initial number of files.
    :param entry_bytes: the size of an entry of the list, or None for a short one.
    """

    files: int
    entry_bytes: int | None = None
    names: list[str] = field(default_factory=list)
    by_name: list[int] = field(default_factory=list)
    requests: int = 0

    def __post_init__(self) -> None:
        """Generate the names: those of a campaign, with mixed case."""
        chance = random.Random(self.files)  # noqa: S311
        words = ["banner", "Banner", "spring", "Summer", "logo", "hero", "vip", "Teaser"]
        for number in range(self.files):
            tail = hashlib.sha256(str(number).encode()).hexdigest()[:8]
            self.names.append(f"{chance.choice(words)}-{chance.choice(words)}_{tail}.png")
        self.by_name = sorted(range(self.files), key=self.names.__getitem__)

    def add(self, name: str) -> dict[str, Any]:
        """Store one more file."""
        from bisect import insort

        self.names.append(name)
        insort(self.by_name, len(self.names) - 1, key=self.names.__getitem__)
        return self.entry(len(self.names) - 1)

    def entry(self, number: int) -> dict[str, Any]:
        """Describe a file."""
        media = {
            "id": number + 1,
            "name": self.names[number],
            "mimeType": "image/png",
            "size": len(PNG),
            "url": f"https://media.example/files/{number + 1}",
        }
        return media | ({"description": "lorem " * (self.entry_bytes // 6)} if self.entry_bytes else {})

    def page(self, query: dict[str, str]) -> dict[str, Any]:
        """Describe a page of the list."""
        limit, total = int(query.get("limit", 10)), len(self.names)
        start = int(query.get("page", 0)) * limit
        order: Any = self.by_name if query.get("sortBy") == "name" else range(total)
        positions = range(start, min(total, start + limit))
        if query.get("sortOrder") == "desc":
            positions = range(total - 1 - start, max(-1, total - 1 - start - limit), -1)
        return {"content": [self.entry(order[position]) for position in positions], "totalElements": total}

    def respond(self, method: str, target: str, body: bytes) -> dict[str, Any]:
        """Respond to a request."""
        parts = urlsplit(target)
        if parts.path == "/requests":
            return {"requests": self.requests}
        self.requests += 1
        if method == "POST":
            return self.add(body.partition(b'name="name"\r\n\r\n')[2].partition(b"\r\n")[0].decode())
        if parts.path == MEDIA_PATH:
            return self.page(dict(parse_qsl(parts.query)))
        return self.entry(int(parts.path.rpartition("/")[2]) - 1)


async def serve(library: GeneratedLibrary, *, latency: float) -> None:
    """Serve a library forever, and print its URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            method, target, _ = line.decode().split(" ", 2)
            length = 0
            while (header := await reader.readline()).strip():
                if header.lower().startswith(b"content-length:"):
                    length = int(header.partition(b":")[2])
            body = json.dumps(library.respond(method, target, await reader.readexactly(length))).encode()
            await asyncio.sleep(latency)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


class Served:
    """A library in a process of its own, and a connection to it.

    :param files: initial number of files.
    :param options: further options of the server.
    """

    def __init__(self, files: int, *options: str) -> None:
        """Start the server and define the connection."""
        command = [sys.executable, __file__, "--serve", str(files), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        connection = {"conn_type": "media", "host": self.url, "password": "key-of-the-benchmark"}
        os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def requests(self) -> int:
        """Return the number of requests so far."""
        with urllib.request.urlopen(f"{self.url}/requests") as response:  # noqa: S310 - our own server
            return int(json.load(response)["requests"])


def measure_lookups(sizes: list[int]) -> Iterator[Row]:
    """Count the list requests of one upload with ``if_exists="reuse"``: new names and existing ones."""
    for size in sizes:
        with Served(size) as served:
            from airflow_provider_media.hooks.media import MediaHook

            hook, counts = MediaHook(), []
            chance = random.Random(1)  # noqa: S311
            for number in range(11):
                name = f"{chance.choice(['a', 'banner-new', 'Teaser-x', 'zz'])}-{number}.png"
                before = served.requests()
                hook.upload(io.BytesIO(PNG), name=name, if_exists="reuse")
                counts.append(served.requests() - before - 1)
            hook.close()
        median = statistics.median(counts)
        yield Row(
            f"list requests of an upload with `reuse`, {size:,} files",
            f"{median:g} (at most {max(counts)})",
            f"{-(-size // 1000) + (size < 1000 or size % 1000 == 0):,}",
        )


def measure_mapped(_sizes: list[int]) -> Iterator[Row]:
    """Count the requests of 200 uploads, each with a hook of its own."""
    with Served(20_000) as served:
        from airflow_provider_media.hooks.media import MediaHook

        for number in range(200):
            hook = MediaHook()
            hook.upload(io.BytesIO(PNG), name=f"campaign-{number}.png", if_exists="reuse")
            hook.close()
        yield Row(
            "requests of 200 mapped uploads with `reuse` into 20,000 files", f"{served.requests():,}", f"{200 * 22:,}"
        )


def measure_page(_sizes: list[int]) -> Iterator[Row]:
    """Measure one page of 1,000 entries of 30 KB."""
    with Served(1000, "--entry-bytes", "30000") as served:
        from airflow_provider_media.hooks.media import MediaHook

        hook = MediaHook()
        hook.list_page(limit=1)
        seconds = []
        size = len(urllib.request.urlopen(f"{served.url}{MEDIA_PATH}?limit=1000").read())  # noqa: S310
        Path("/proc/self/clear_refs").write_text("5")
        before = peak_memory()
        for _ in range(3):
            started = time.process_time()
            hook.list_page(limit=1000)
            seconds.append(time.process_time() - started)
        grown = peak_memory() - before
        hook.close()
        yield Row(
            "one list page of 1,000 entries of 30 KB",
            f"{grown / size:.1f} times its size, {statistics.median(seconds):.1f} s of CPU",
        )


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def measure_uploads(sizes: list[int]) -> Iterator[Row]:
    """Measure what uploads and deletions cost beside requests."""
    from scale_uploads import measure_deletions, measure_gigabyte, measure_object

    for measure in (measure_gigabyte, measure_object, measure_deletions):
        yield from (Row(*row) for row in measure(sizes))


def measure_waiting(sizes: list[int]) -> Iterator[Row]:
    """Measure the requests of deferred sensors."""
    from scale_waiting import measure_sensors

    yield from (Row(*row) for row in measure_sensors(sizes))


ROWS: list[Callable[[list[int]], Iterator[Row]]] = [
    measure_page,
    measure_lookups,
    measure_mapped,
    measure_waiting,
    measure_uploads,
]


def main() -> None:
    """Measure all rows, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[900, 10_000, 100_000, 1_000_000])
    parser.add_argument("--rows", default="", help="only functions whose name contains this")
    parser.add_argument("--write", action="store_true", help="write the table into the documentation")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--entry-bytes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--latency", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(GeneratedLibrary(arguments.serve, arguments.entry_bytes), latency=arguments.latency))
        return
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
    logging.disable(logging.WARNING)
    lines = ["| work | result | compared with |", "| --- | --- | --- |"]
    for measure in ROWS:
        if arguments.rows in measure.__name__:
            lines += [f"| {row.work} | {row.result} | {row.peer} |" for row in measure(arguments.files)]
    print("\n".join(lines))
    if arguments.write:
        text = DOCUMENT.read_text()
        before, _, rest = text.partition(START)
        DOCUMENT.write_text(f"{before}{START}\n\n" + "\n".join(lines) + f"\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()

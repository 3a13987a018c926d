"""The rows of ``make bench-scale`` about uploads and deletions: what the state of a task and an object store cost."""

from __future__ import annotations

import io
import json
import os
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import upload_peers
import uploads

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 7


class Store(dict):
    """Airflow's task state store in memory; counts the bytes that are written."""

    written = 0

    def set(self, key: str, value: Any) -> None:
        """Store a value."""
        self[key] = value
        self.written += len(json.dumps(value))

    delete = dict.pop


@dataclass
class CountingStore:
    """An object store with one object; counts the bytes that are read."""

    content: bytes
    path: str = "launch.mp4"
    name: str = "launch.mp4"
    received: list[int] = field(default_factory=list)

    @property
    def fs(self) -> CountingStore:
        """The file system."""
        return self

    def __str__(self) -> str:
        return "memory://launch.mp4"

    def invalidate_cache(self, _path: str) -> None:
        """Do nothing."""

    def info(self, _path: str) -> dict[str, Any]:
        """Return the size and the version."""
        return {"type": "file", "size": len(self.content), "ETag": "1"}

    def cat_file(self, _path: str, start: int, end: int) -> bytes:
        """Read some bytes."""
        self.received.append(end - start)
        return self.content[start:end]

    def open(self, path: str, _mode: str, block_size: int) -> io.BufferedReader:
        """Open the object with a buffer, as fsspec does."""
        store, position = self, 0

        class Raw(io.RawIOBase):
            def readable(self) -> bool:
                return True

            seekable = readable

            def seek(self, offset: int, _whence: int = 0) -> int:
                nonlocal position
                position = offset
                return position

            def tell(self) -> int:
                return position

            def readinto(self, buffer: Any) -> int:
                nonlocal position
                data = store.cat_file(path, position, min(position + len(buffer), len(store.content)))
                buffer[: len(data)] = data
                position += len(data)
                return len(data)

        return io.BufferedReader(Raw(), block_size)


def measure_gigabyte(_sizes: list[int]) -> Iterator[tuple[str, str, str]]:
    """Upload 1 GiB with the operator and the hook; the peers take turns."""
    with tempfile.TemporaryDirectory() as folder, uploads.servers(Path(folder)) as addresses:
        path = Path(folder) / "launch.mp4"
        uploads.make_file(path, 1024**3)
        for protocol, (address, bundle) in addresses.items():
            peers = {"operator": upload_peers.operator, "hook": upload_peers.hook, "floor": upload_peers.floor}
            runs = {name: peer(address, str(path), 1, bundle) for name, peer in peers.items()}
            seconds: dict[str, list[float]] = {name: [] for name in runs}
            for _ in range(ROUNDS):
                for name, run in runs.items():
                    seconds[name].append(timed(run))
            median = {name: statistics.median(measured) for name, measured in seconds.items()}
            yield (
                f"1 GiB with `MediaUploadOperator` on Airflow 3.3, {protocol}",
                f"{median['operator'] / median['hook']:.2f} times the hook's time",
                f"{median['floor'] / median['hook']:.2f}: a plain socket",
            )


def timed(run: Any) -> float:
    """Return the seconds of a call."""
    import time

    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def measure_object(_sizes: list[int]) -> Iterator[tuple[str, str, str]]:
    """Count the bytes that an upload with a task's state reads from an object store."""
    from airflow_provider_media.operators.media import MediaUploadOperator

    with tempfile.TemporaryDirectory() as folder, uploads.servers(Path(folder)) as addresses:
        connection = {"conn_type": "media", "host": addresses["HTTP"][0], "password": "key"}
        os.environ["AIRFLOW_CONN_MEDIA_DEFAULT"] = json.dumps(connection)
        path = Path(folder) / "launch.mp4"
        uploads.make_file(path, 64 * 1024**2)
        store = CountingStore(path.read_bytes())
        task = MediaUploadOperator(task_id="upload", file=store, if_exists="upload", do_xcom_push=False)
        task.execute({"task_state_store": Store()})
    more = (sum(store.received) - len(store.content)) / 1024
    yield "bytes read of a video of 64 MiB in an object store, Airflow 3.3", f"its size and {more:.0f} KiB", "-"


def measure_deletions(_sizes: list[int]) -> Iterator[tuple[str, str, str]]:
    """Count the bytes of state that a cleanup of 5,000 files writes."""
    from airflow_provider_media._airflow.task_state import TaskState
    from airflow_provider_media._deletion.delete import DeletionCheckpoint

    store, count = Store(), 5000
    state = TaskState({"task_state_store": store}, DeletionCheckpoint, task_id="clean_up")
    state.save(DeletionCheckpoint())
    for number in range(count):
        state.append(100_000 + number)
    largest = max(len(json.dumps(value)) for value in store.values())
    rewritten = sum(len(json.dumps([*range(100_000, 100_000 + number)])) for number in range(0, count, 50)) * 50
    yield (
        "state written by a cleanup of 5,000 files",
        f"{store.written / 2**20:.1f} MiB, in values of at most {largest:,} bytes",
        f"{rewritten / 2**20:.0f} MiB: one value",
    )

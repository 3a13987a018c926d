"""A task that is timed out or stopped breaks off its transfer promptly, and does not take that for a network fault."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_media.operators.media import MediaUploadOperator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPTLY_SECONDS = 5
LARGE_BYTES = 64 * 1024 * 1024  # more than the sockets' buffers take


@dataclass(kw_only=True)
class DeafServer:
    """A server that takes connections and then never reads."""

    address: str
    connections: list[socket.socket] = field(default_factory=list)
    connected: threading.Event = field(default_factory=threading.Event)
    connected_at: float = 0.0


@pytest.fixture
def deaf_server() -> Iterator[DeafServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = DeafServer(address=f"http://127.0.0.1:{listener.getsockname()[1]}")

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                server.connections.append(connection)
                server.connected_at = server.connected_at or time.monotonic()
                server.connected.set()

        thread = threading.Thread(target=accept)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in server.connections:
            connection.close()


@pytest.fixture
def large_picture(tmp_path: Path, media_folder: Path) -> Path:
    """Make a file that begins as a picture and takes no room on the disk."""
    path = tmp_path / "large.jpg"
    path.write_bytes((media_folder / "banner.jpg").read_bytes())
    os.truncate(path, LARGE_BYTES)
    return path


def upload_dag(name: str, file: Path, **arguments: Any) -> DAG:
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False) as dag:
        MediaUploadOperator(task_id="upload", file=str(file), if_exists="upload", **arguments)
    return dag


def test_execution_timeout_breaks_off_a_transfer(
    deaf_server: DeafServer, connect: Any, run_dag: Any, large_picture: Path
) -> None:
    connect(deaf_server.address, "key")
    run = run_dag(upload_dag("timed_out", large_picture, execution_timeout=timedelta(seconds=1)))

    assert run.states == {"upload": "failed"}
    assert time.monotonic() - deaf_server.connected_at < PROMPTLY_SECONDS + 1
    assert len(deaf_server.connections) == 1


def test_stopped_task_breaks_off_a_transfer(
    deaf_server: DeafServer, connect: Any, run_dag: Any, large_picture: Path
) -> None:
    connect(deaf_server.address, "key")
    errors: list[str] = []
    stopped_at: list[float] = []

    def stop() -> None:
        deaf_server.connected.wait(30)
        stopped_at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=stop)
    killer.start()
    dag = upload_dag(
        "stopped", large_picture, on_failure_callback=lambda context: errors.append(str(context["exception"]))
    )
    run = run_dag(dag)
    killer.join()

    assert run.states == {"upload": "failed"}
    assert time.monotonic() - stopped_at[0] < PROMPTLY_SECONDS
    assert len(deaf_server.connections) == 1
    (error,) = errors
    assert error in {
        "The task was stopped, and its transfer broken off.",
        "Task received SIGTERM signal",  # Airflow 2 raises it itself, after on_kill
    }

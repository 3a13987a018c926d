"""A task that is timed out or stopped breaks off its transfer promptly, and does not take that for a network fault."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG

import airflow_provider_media._transports.sync  # noqa: F401 - loading it should not use up the time-out
from airflow_provider_media.operators.media import MediaUploadOperator
from tests.dags.helpers.older_airflows import needs_the_exception

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROMPTLY_SECONDS = 5
EMPTY_LIST = b'HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n{"content":[], "totalElements":0}'
LARGE_BYTES = 64 * 1024 * 1024  # more than the sockets' buffers take


class DeafServer:
    """A server that responds to each GET, reads the start of a POST, and then stops reading until ``hearing`` is set.

    :ivar posts: the heads of the POSTs, each with the first bytes of its body.
    :ivar sending: set when the first bytes of a body have arrived.
    :ivar hearing: set it to continue reading.
    :ivar received: number of bytes read afterwards.
    :ivar ended: set when a connection with a POST has ended; buffered data hides the end until the server reads it.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.posts: list[bytes] = []
        self.sending = threading.Event()
        self.sending_at = 0.0
        self.hearing = threading.Event()
        self.received = 0
        self.ended = threading.Event()
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self.hearing.set()
        for sock in (self._listener, *self._connections):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (self._listener, *self._connections):
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while True:
                head, body_start = self._read_head(connection)
                if head.startswith(b"GET"):
                    connection.sendall(EMPTY_LIST)
                    continue
                self.posts.append(head + (body_start or connection.recv(1024)))
                self.sending_at = time.monotonic()
                self.sending.set()
                self.hearing.wait()
                with suppress(ConnectionError):
                    while data := connection.recv(1024 * 1024):
                        self.received += len(data)
                self.ended.set()
                return

    @staticmethod
    def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            block = connection.recv(1024)
            if not block:
                raise ConnectionError
            data += block
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest


@pytest.fixture
def deaf_server() -> Iterator[DeafServer]:
    server = DeafServer()
    yield server
    server.close()


@pytest.fixture
def large_image(tmp_path: Path, media_folder: Path) -> Path:
    """Create a sparse file that begins with an image."""
    path = tmp_path / "large.jpg"
    path.write_bytes((media_folder / "banner.jpg").read_bytes())
    os.truncate(path, LARGE_BYTES)
    return path


def upload_dag(name: str, file: Path, **arguments: Any) -> DAG:
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False) as dag:
        MediaUploadOperator(task_id="upload", file=str(file), if_exists="upload", **arguments)
    return dag


def assert_aborted(server: DeafServer) -> None:
    """Assert that one body was started, and that its connection ended before the end of the body."""
    server.hearing.set()
    assert server.ended.wait(PROMPTLY_SECONDS)
    assert server.received < LARGE_BYTES
    (post,) = server.posts
    assert post.startswith(b"POST ")
    assert b"\r\nContent-Disposition: form-data" in post


def test_execution_timeout_breaks_off_a_transfer(
    deaf_server: DeafServer, connect: Any, run_dag: Any, large_image: Path
) -> None:
    connect(deaf_server.address, "key")
    run = run_dag(upload_dag("timed_out", large_image, execution_timeout=timedelta(seconds=3)))

    assert run.states == {"upload": "failed"}
    assert time.monotonic() - deaf_server.sending_at < PROMPTLY_SECONDS + 3
    assert_aborted(deaf_server)


# Airflow 2 raises in its signal handler, maybe while a file is being opened.
@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")
@needs_the_exception
def test_stopped_task_breaks_off_a_transfer(
    deaf_server: DeafServer, connect: Any, run_dag: Any, large_image: Path
) -> None:
    connect(deaf_server.address, "key")
    errors: list[str] = []
    stopped_at: list[float] = []

    def stop() -> None:
        deaf_server.sending.wait(30)
        stopped_at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=stop)
    killer.start()
    dag = upload_dag(
        "stopped", large_image, on_failure_callback=lambda context: errors.append(str(context["exception"]))
    )
    run = run_dag(dag)
    killer.join()

    assert run.states == {"upload": "failed"}
    assert time.monotonic() - stopped_at[0] < PROMPTLY_SECONDS
    assert_aborted(deaf_server)
    (error,) = errors
    assert error in {
        "The transfer was aborted: the task was stopped, or the hook was closed.",
        "Task received SIGTERM signal",  # Airflow 2 raises it itself, after on_kill
    }

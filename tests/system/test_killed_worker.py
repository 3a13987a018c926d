"""A worker that dies, or is considered dead, during an upload: the retry ends with one file and its id."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.contract.helpers.sandbox_library import sha256_of
from tests.system.helpers.airflow_system import is_alive, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.helpers.airflow_system import Run

NAME = "Autumn banner"
OTHER_CONTENT = b"\x89PNG\r\n\x1a\nof another campaign"


@pytest.fixture
def older_files(platform: Any, if_exists: str) -> list[int]:
    """Store a file for ``replace`` to replace; the other policies start without a file of that name."""
    stored = [platform.library.store(NAME, OTHER_CONTENT)] if if_exists == "replace" else []
    platform.library.forget()
    return stored


def processes_of(run: Run) -> tuple[int, int]:
    """Return the process ids of a task's supervisor and of the task."""
    runner = run.task("upload")["pid"]
    return psutil.Process(runner).ppid(), runner


def check_retry_result(run: Run, platform: Any, image_path: Path, replaced: list[int]) -> None:
    assert run.wait_for_end() == "success", run.task_log("upload", 2)
    assert run.task("upload")["try_number"] == 2
    assert run.events("heartbeat timeout") == 1
    assert platform.library.count("POST") == 1
    (stored,) = platform.library.files()
    assert run.xcom("upload", "id") == stored["id"]
    result = run.xcom("upload")
    assert (result["id"], result["replaced"]) == (stored["id"], replaced)
    assert stored["name"] == NAME
    assert sha256_of(stored["url"]) == sha256_of(image_path.read_bytes())
    (state,) = run.task_state("upload").values()
    assert state["checkpoint"]["stored_id"] == stored["id"]


@pytest.mark.parametrize("if_exists", ["upload", "reuse", "replace", "fail"])
def test_worker_killed_after_the_library_stored_the_file(
    platform: Any, image_path: Path, if_exists: str, older_files: list[int]
) -> None:
    platform.gate.before_response.close()
    run = platform.upload(image_path, NAME, if_exists)
    assert platform.gate.before_response.reached.wait(120)
    assert [key.startswith("media_upload_") for key in run.task_state("upload")] == [True]
    for pid in processes_of(run):  # the supervisor first, because it would report its task's end
        os.kill(pid, signal.SIGKILL)
    platform.gate.before_response.open()

    check_retry_result(run, platform, image_path, replaced=older_files)


@pytest.fixture
def stopped() -> Iterator[list[int]]:
    """Process ids to continue at the end of the test."""
    pids: list[int] = []
    yield pids
    for pid in filter(is_alive, pids):
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("silence", "if_exists"),
    [(signal.SIGKILL, "upload"), (signal.SIGSTOP, "replace")],
    ids=["supervisor killed", "supervisor stopped for a while"],
)
def test_retry_starts_during_the_upload_of_the_first_attempt(
    platform: Any,
    image_path: Path,
    silence: signal.Signals,
    if_exists: str,
    older_files: list[int],
    stopped: list[int],
) -> None:
    """The library stores the file after the retry has started its lookups."""
    platform.gate.before_storing.close()
    run = platform.upload(image_path, NAME, if_exists)
    assert platform.gate.before_storing.reached.wait(120)
    supervisor, first_attempt = processes_of(run)
    os.kill(supervisor, silence)
    stopped.append(supervisor)
    completed_before = len(platform.gate.completed)
    wait_for(lambda: len(platform.gate.completed) >= completed_before + 2, "two lookups of the retry")
    assert is_alive(first_attempt)
    assert platform.library.count("POST") == 0
    platform.gate.before_storing.open()

    check_retry_result(run, platform, image_path, replaced=older_files)

    if silence == signal.SIGSTOP:
        os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: not is_alive(first_attempt), "the end of the first attempt")
    check_retry_result(run, platform, image_path, replaced=older_files)

"""Tasks that a user clears, or marks as failed while they run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.helpers.airflow_system import is_alive, wait_for

if TYPE_CHECKING:
    from pathlib import Path

NAME = "Autumn banner"
LARGE_BYTES = 64 * 1024 * 1024  # more than the sockets' buffers take
PROMPTLY_SECONDS = 20  # a second until the next heartbeat, and time for a busy machine


def test_task_cleared_after_success_uploads_again(platform: Any, image_path: Path) -> None:
    run = platform.upload(image_path, NAME, "upload")
    assert run.wait_for_end() == "success", run.task_log("upload")
    first_id = run.xcom("upload", "id")

    run.clear("upload")
    wait_for(lambda: run.task("upload")["try_number"] == 2, "the second attempt")

    assert run.wait_for_end() == "success", run.task_log("upload", 2)
    first, second = platform.library.files()
    assert (first["id"], second["name"]) == (first_id, NAME)
    assert run.xcom("upload", "id") == second["id"]
    assert platform.library.count("POST") == 2


@pytest.fixture
def large_image(tmp_path: Path, image_path: Path) -> Path:
    """Create a sparse file that begins with an image."""
    path = tmp_path / "large.jpg"
    path.write_bytes(image_path.read_bytes())
    os.truncate(path, LARGE_BYTES)
    return path


def test_task_marked_failed_aborts_its_transfer(platform: Any, large_image: Path) -> None:
    platform.gate.in_body.close()
    run = platform.upload(large_image, NAME, "upload")
    assert platform.gate.in_body.reached.wait(120)
    task = run.task("upload")["pid"]

    run.mark("upload", "failed")
    wait_for(lambda: not is_alive(task), "the end of the task", PROMPTLY_SECONDS)
    platform.gate.in_body.open()
    wait_for(lambda: platform.gate.interrupted, "the end of the connection", PROMPTLY_SECONDS)

    ((received, declared),) = platform.gate.interrupted
    assert received < LARGE_BYTES < declared
    assert "The transfer was aborted: the task was stopped, or the hook was closed." in run.task_log("upload")
    assert run.wait_for_end() == "failed"
    assert (run.task("upload")["state"], run.task("upload")["try_number"]) == ("failed", 1)
    assert run.task_state("upload") == {}  # the file is not stored, so a cleared task needs no lookup
    assert platform.library.files() == []

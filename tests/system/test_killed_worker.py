"""A worker that dies, or is taken for dead, in the middle of an upload: the retry ends with one file and its id."""

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
def older_namesakes(platform: Any, if_exists: str) -> list[int]:
    """Store what ``replace`` is to replace; for the others the name is free."""
    stored = [platform.library.store(NAME, OTHER_CONTENT)] if if_exists == "replace" else []
    platform.library.forget()
    return stored


def processes_of(run: Run) -> tuple[int, int]:
    """Tell the ids of a task's supervisor and of the task itself."""
    runner = run.task("upload")["pid"]
    return psutil.Process(runner).ppid(), runner


def check_that_the_retry_found_it(run: Run, platform: Any, picture: Path, replaced: list[int]) -> None:
    assert run.wait_for_end() == "success", run.task_log("upload", 2)
    assert run.task("upload")["try_number"] == 2
    assert run.events("heartbeat timeout") == 1
    assert platform.library.count("POST") == 1
    (stored,) = platform.library.files()
    assert run.xcom("upload", "id") == stored["id"]
    result = run.xcom("upload")
    assert (result["id"], result["replaced"]) == (stored["id"], replaced)
    assert stored["name"] == NAME
    assert sha256_of(stored["url"]) == sha256_of(picture.read_bytes())
    (state,) = run.task_state("upload").values()
    assert state["checkpoint"]["stored_id"] == stored["id"]


@pytest.mark.parametrize("if_exists", ["upload", "reuse", "replace", "fail"])
def test_worker_killed_after_the_library_stored_the_file(
    platform: Any, picture: Path, if_exists: str, older_namesakes: list[int]
) -> None:
    platform.gate.before_answer.shut()
    run = platform.upload(picture, NAME, if_exists)
    assert platform.gate.before_answer.reached.wait(120)
    assert [key.startswith("media_upload_") for key in run.task_state("upload")] == [True]
    for pid in processes_of(run):  # the supervisor first: it would tell of its task's end
        os.kill(pid, signal.SIGKILL)
    platform.gate.before_answer.open()

    check_that_the_retry_found_it(run, platform, picture, replaced=older_namesakes)


@pytest.fixture
def stopped() -> Iterator[list[int]]:
    """The processes to let go on in the end."""
    pids: list[int] = []
    yield pids
    for pid in filter(is_alive, pids):
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("silence", "if_exists"),
    [(signal.SIGKILL, "upload"), (signal.SIGSTOP, "replace")],
    ids=["supervisor killed", "supervisor stopped for a while"],
)
def test_retry_starts_while_the_old_try_still_sends(
    platform: Any,
    picture: Path,
    silence: signal.Signals,
    if_exists: str,
    older_namesakes: list[int],
    stopped: list[int],
) -> None:
    """The file is stored only after the retry has begun to look for it."""
    platform.gate.before_storing.shut()
    run = platform.upload(picture, NAME, if_exists)
    assert platform.gate.before_storing.reached.wait(120)
    supervisor, old_try = processes_of(run)
    os.kill(supervisor, silence)
    stopped.append(supervisor)
    looks_before = len(platform.gate.answered)
    wait_for(lambda: len(platform.gate.answered) >= looks_before + 2, "the retry to look twice")
    assert is_alive(old_try)
    assert platform.library.count("POST") == 0
    platform.gate.before_storing.open()

    check_that_the_retry_found_it(run, platform, picture, replaced=older_namesakes)

    if silence == signal.SIGSTOP:
        os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: not is_alive(old_try), "the end of the old try")
    check_that_the_retry_found_it(run, platform, picture, replaced=older_namesakes)

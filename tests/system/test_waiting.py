"""Sensors that wait on a triggerer: many of them, across its death, and until the time is over."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.helpers.airflow_system import wait_for

if TYPE_CHECKING:
    from tests.system.helpers.airflow_system import Run

SENSORS = 200
INTERVAL_SECONDS = 2
REQUESTS_PER_LOOK = 1 + 1
"""Pages of the library, rounded up, and one more."""

A_FILE_EVERY_SECONDS = 0.2
PATIENCE_SECONDS = 400
SOON_SECONDS = 20
CONTENT = b"\x89PNG\r\n\x1a\n"


def gets(platform: Any) -> list[dict[str, Any]]:
    return [call for call in platform.library.journal() if call["method"] == "GET"]


def most_polls(seconds: float) -> float:
    """Tell how many requests one poll may take at most in so many seconds."""
    return (seconds / INTERVAL_SECONDS + 1) * REQUESTS_PER_LOOK


@pytest.mark.timeout(2 * PATIENCE_SECONDS + 120)
def test_mapped_sensors_share_one_poll_and_outlive_the_triggerer(platform: Any) -> None:
    began = time.monotonic()
    run = platform.airflow.trigger("wait_mapped", files=SENSORS, media_conn_id=platform.media_conn_id)
    wait_for(lambda: run.count("deferred") == SENSORS, "all sensors to be deferred", PATIENCE_SECONDS)
    deferring = time.monotonic() - began
    first_looks = gets(platform)
    platform.library.forget()

    began = time.monotonic()
    for number in range(SENSORS):
        if number == SENSORS // 2:
            platform.airflow.kill_triggerer()
        if number == SENSORS * 3 // 4:
            platform.airflow.start_triggerer()
        platform.library.store(f"file {number}", CONTENT)
        time.sleep(A_FILE_EVERY_SECONDS)
    assert run.wait_for_end(PATIENCE_SECONDS) == "success"
    waiting = time.monotonic() - began
    polls = gets(platform)

    assert run.count("success") == 1 + SENSORS
    assert len(first_looks) <= SENSORS + most_polls(deferring)
    assert len(polls) <= most_polls(waiting)
    assert {call["status"] for call in first_looks + polls} == {200}


def deferred_until(platform: Any, seconds: float) -> tuple[Run, datetime]:
    """Start a run with a deadline in so many seconds, or in more if its tasks start too late to be deferred."""
    needed_by = datetime.now(UTC) + timedelta(seconds=seconds)
    run = platform.airflow.trigger("wait_until", needed_by=needed_by.isoformat(), media_conn_id=platform.media_conn_id)
    wait_for(lambda: run.count("deferred") == 2 or run.state == "failed", "both sensors to be deferred")
    return deferred_until(platform, 2 * seconds) if run.state == "failed" else (run, needed_by)


def test_needed_by_that_passes_during_a_deferral_ends_the_task_for_good(platform: Any) -> None:
    platform.library.store("there", CONTENT)
    run, needed_by = deferred_until(platform, SOON_SECONDS)

    assert run.wait_for_end() == "failed"

    sentence = (
        f"The deadline (needed_by={needed_by.isoformat()}) has passed: 1 of 2 found ('there'), missing: 'missing'."
    )
    tasks = {task_id: run.task(task_id) for task_id in ("fails", "skips")}
    assert {task_id: (task["state"], task["try_number"]) for task_id, task in tasks.items()} == {
        "fails": ("failed", 1),
        "skips": ("skipped", 1),
    }
    for task_id, task in tasks.items():
        assert sentence in run.task_log(task_id)
        assert datetime.fromisoformat(task["end_date"]) >= needed_by

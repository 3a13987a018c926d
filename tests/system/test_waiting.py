"""Deferred sensors: many of them, across a restart of the triggerer, and until their deadline."""

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
REQUESTS_PER_POLL = 1 + 1
"""The pages of the library, rounded up, and one more."""

SECONDS_BETWEEN_FILES = 0.2
MAX_WAIT_SECONDS = 400
SOON_SECONDS = 20
CONTENT = b"\x89PNG\r\n\x1a\n"


def gets(platform: Any) -> list[dict[str, Any]]:
    return [call for call in platform.library.journal() if call["method"] == "GET"]


def max_requests(seconds: float) -> float:
    """Return the maximum number of requests of one poller in the given time."""
    return (seconds / INTERVAL_SECONDS + 1) * REQUESTS_PER_POLL


@pytest.mark.timeout(2 * MAX_WAIT_SECONDS + 120)
def test_mapped_sensors_share_one_poller_and_survive_a_triggerer_restart(platform: Any) -> None:
    started = time.monotonic()
    run = platform.airflow.trigger("wait_mapped", files=SENSORS, media_conn_id=platform.media_conn_id)
    wait_for(lambda: run.count("deferred") == SENSORS, "all sensors to be deferred", MAX_WAIT_SECONDS)
    deferring = time.monotonic() - started
    first_polls = gets(platform)
    platform.library.forget()

    started = time.monotonic()
    for number in range(SENSORS):
        if number == SENSORS // 2:
            platform.airflow.kill_triggerer()
        if number == SENSORS * 3 // 4:
            platform.airflow.start_triggerer()
        platform.library.store(f"file {number}", CONTENT)
        time.sleep(SECONDS_BETWEEN_FILES)
    assert run.wait_for_end(MAX_WAIT_SECONDS) == "success"
    waiting = time.monotonic() - started
    polls = gets(platform)

    assert run.count("success") == 1 + SENSORS
    assert len(first_polls) <= SENSORS + max_requests(deferring)
    assert len(polls) <= max_requests(waiting)
    assert {call["status"] for call in first_polls + polls} == {200}


def deferred_until(platform: Any, seconds: float) -> tuple[Run, datetime]:
    """Start a run with a deadline after ``seconds``, or later if its tasks start too late to be deferred."""
    needed_by = datetime.now(UTC) + timedelta(seconds=seconds)
    run = platform.airflow.trigger("wait_until", needed_by=needed_by.isoformat(), media_conn_id=platform.media_conn_id)
    wait_for(lambda: run.count("deferred") == 2 or run.state == "failed", "both sensors to be deferred")
    return deferred_until(platform, 2 * seconds) if run.state == "failed" else (run, needed_by)


def test_deadline_during_a_deferral_fails_without_retries(platform: Any) -> None:
    platform.library.store("there", CONTENT)
    run, needed_by = deferred_until(platform, SOON_SECONDS)

    assert run.wait_for_end() == "failed"

    message = (
        f"The deadline (needed_by={needed_by.isoformat()}) has passed: 1 of 2 found ('there'), missing: 'missing'."
    )
    tasks = {task_id: run.task(task_id) for task_id in ("fails", "skips")}
    assert {task_id: (task["state"], task["try_number"]) for task_id, task in tasks.items()} == {
        "fails": ("failed", 1),
        "skips": ("skipped", 1),
    }
    for task_id, task in tasks.items():
        assert message in run.task_log(task_id)
        assert datetime.fromisoformat(task["end_date"]) >= needed_by

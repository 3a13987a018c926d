"""The sensor on real Airflow in its three modes, also mapped; triggers run in this process."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from packaging.version import Version

from airflow_provider_media.sensors.media import MediaExistsSensor
from tests.dags.helpers.older_airflows import TELLS_CALLBACKS_THE_EXCEPTION, skip_on_airflow_3_0

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODES = pytest.mark.parametrize(
    "mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "deferrable"]
)
AIRFLOW_3 = version("apache-airflow").startswith("3.")
HAS_STORE = Version(version("apache-airflow")) >= Version("3.3")
POLLS = {"poke_interval": 0.5, "timeout": 60}
TIMEOUT_SECONDS = 3
"""Longer than the start of a task on a busy machine."""


def new_dag(name: str) -> DAG:
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)


@pytest.fixture
def later(platform: Any) -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Run an action after the first poll: ``later(action)``."""
    threads: list[threading.Thread] = []

    def wait_and_act(action: Callable[[], Any]) -> None:
        for _ in range(600):
            if platform.calls("GET"):
                break
            threading.Event().wait(0.05)
        action()

    def start(action: Callable[[], Any]) -> None:
        threads.append(threading.Thread(target=wait_and_act, args=(action,)))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


@MODES
def test_late_files_are_found_and_used_downstream(
    mode: dict[str, Any], platform: Any, run_dag: Any, media_folder: Path, later: Any
) -> None:
    with new_dag("late_files") as dag:

        @task
        def send(media: dict[str, Any]) -> str:
            return f"{media['id']} {media['name']}"

        wait = MediaExistsSensor(task_id="wait", names=["one-{{ ds }}", "card-*"], min_matches=2, **mode, **POLLS)
        send.expand(media=wait.output)

    def store() -> None:
        for name in ("card-b", "one-2026-07-01", "card-a"):
            platform.store(media_folder / "card-latte.jpg", name)

    later(store)
    run = run_dag(dag)

    assert run.state == "success"
    found = run.xcom("wait")
    assert [media["name"] for media in found] == ["one-2026-07-01", "card-b", "card-a"]
    assert [run.xcom(f"send[{n}]") for n in range(3)] == [f"{media['id']} {media['name']}" for media in found]


@MODES
def test_mapped_sensors_each_return_their_file(
    mode: dict[str, Any], platform: Any, run_dag: Any, media_folder: Path, later: Any
) -> None:
    names = [f"card-{number}" for number in range(3)]
    with new_dag("mapped_waits") as dag:

        @task
        def names_of_the_day() -> list[str]:
            return names

        @task
        def send(found: Any) -> list[str]:
            return [media["name"] for media in found]

        wait = MediaExistsSensor.partial(task_id="wait", **mode, **POLLS).expand(name=names_of_the_day())
        send(wait.output)
    later(lambda: [platform.store(media_folder / "card-latte.jpg", name) for name in names])
    run = run_dag(dag)

    assert run.state == "success"
    assert run.xcom("send") == names


@skip_on_airflow_3_0
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("limit", ["needed_by", "timeout"])
@MODES
def test_wait_ends_at_its_deadline_without_retries(
    mode: dict[str, Any], limit: str, platform: Any, run_dag: Any, *, soft: bool
) -> None:
    errors: list[str] = []
    deadline = datetime.now(UTC) + timedelta(seconds=2.5)
    limits: dict[str, Any] = {"timeout": 1} if limit == "timeout" else {"timeout": 600, "needed_by": str(deadline)}
    with new_dag("over") as dag:
        MediaExistsSensor(
            task_id="wait",
            media_ids=[901, 902],
            retries=3,
            soft_fail=soft,
            poke_interval=0.5,
            on_failure_callback=lambda context: errors.append(str(context["exception"])),
            **limits,
            **mode,
        )
    started = time.monotonic()
    run = run_dag(dag)

    assert run.states == {"wait": "skipped" if soft else "failed"}
    assert run.tries == {"wait": 1}
    assert time.monotonic() - started < 45
    if not soft and TELLS_CALLBACKS_THE_EXCEPTION:
        [error] = errors
        assert "has passed: 0 of 2 found (none), missing: '901', '902'." in error
        assert limit in error


@MODES
def test_warning_before_the_deadline_is_given_once(
    mode: dict[str, Any], platform: Any, run_dag: Any, media_folder: Path, later: Any
) -> None:
    if mode.get("mode") == "reschedule" and AIRFLOW_3 and not HAS_STORE:
        pytest.skip("Airflow 3.0 to 3.2 store nothing for a rescheduled task")
    warnings: list[str] = []

    def store() -> None:
        threading.Event().wait(1.5)  # two further polls
        platform.store(media_folder / "card-latte.jpg", "late")

    with new_dag("warned") as dag:
        MediaExistsSensor(
            task_id="wait",
            name="late",
            warn_before=timedelta(hours=1),
            on_warning=lambda message, _: warnings.append(message),
            **mode,
            **POLLS,
        )
    later(store)
    run = run_dag(dag)

    assert run.state == "success"
    [message] = warnings
    assert message.startswith("1 of 1 missing, 1 minute until the deadline (timeout=60 s): 'late'")


@pytest.mark.skipif(not HAS_STORE, reason="Airflow before 3.3 keeps no state across attempts")
@pytest.mark.parametrize("mode", [{"mode": "poke"}, {"deferrable": True}], ids=["poke", "deferrable"])
def test_retry_has_the_remaining_time(mode: dict[str, Any], platform: Any, run_dag: Any) -> None:
    platform.connect(platform.sandbox.base_url, platform.sandbox.api_key, max_attempts=1)
    with new_dag("warm_up") as first:  # the first run in a process takes seconds longer
        MediaExistsSensor(task_id="wait", media_id=901, timeout=0, poke_interval=0.5)
    run_dag(first)
    before = platform.calls("GET")
    platform.add_fault(fault="status", status=500, method="GET")
    errors: list[str] = []

    def note(context: Any) -> None:
        errors.append(str(context["exception"]))
        if len(errors) == 1:
            threading.Event().wait(TIMEOUT_SECONDS + 0.5)

    with new_dag("retried") as dag:
        MediaExistsSensor(
            task_id="wait",
            media_id=901,
            retries=1,
            max_poll_failures=1,
            timeout=TIMEOUT_SECONDS,
            poke_interval=POLLS["poke_interval"],
            on_retry_callback=note,
            on_failure_callback=note,
            **mode,
        )
    run = run_dag(dag)

    assert run.tries == {"wait": 2}
    first, second = errors
    assert "HTTP 500" in first
    assert f"(timeout={TIMEOUT_SECONDS} s) has passed" in second
    assert platform.calls("GET") - before == 2  # the retry polled once


def test_cleared_run_after_its_deadline_polls_once(platform: Any, run_dag: Any, media_folder: Path) -> None:
    media_id = platform.store(media_folder / "card-latte.jpg", "there")
    with new_dag("past") as dag:
        for name, requested in (("there", media_id), ("missing", 901)):
            MediaExistsSensor(task_id=name, media_id=requested, deferrable=True, needed_by="{{ ds }}T09:00:00+02:00")
    run = run_dag(dag)

    assert run.states == {"there": "success", "missing": "failed"}
    assert platform.calls("GET") == 2


@MODES
def test_needed_by_none_of_an_upstream_task_fails_immediately(
    mode: dict[str, Any], platform: Any, run_dag: Any
) -> None:
    with new_dag("empty_deadline") as dag:

        @task
        def send_time() -> None:
            return None

        @task
        def real_time() -> str:
            return "2026-01-01T09:00:00+00:00"

        @task
        def send_times() -> list[str | None]:
            return ["2026-01-01T09:00:00+00:00", None]

        mapped = MediaExistsSensor.partial(task_id="mapped", media_id=901, retries=3, **mode)
        mapped.expand(needed_by=send_times())
        MediaExistsSensor(task_id="empty", media_id=901, needed_by=send_time(), retries=3, **mode)
        MediaExistsSensor(task_id="given", media_id=901, needed_by=real_time(), retries=3, **mode)
    run = run_dag(dag)

    for name in ("empty", "given", "mapped[0]", "mapped[1]"):
        assert (run.states[name], run.tries[name]) == ("failed", 1)
    assert platform.calls("GET") == 2  # one for each that has a deadline


def test_key_rejected_during_a_deferral_fails_immediately(platform: Any, run_dag: Any, later: Any) -> None:
    with new_dag("rejected") as dag:
        MediaExistsSensor(task_id="wait", media_id=901, deferrable=True, retries=3, **POLLS)
    later(lambda: platform.add_fault(fault="status", status=401, method="GET", times=99))
    run = run_dag(dag)

    assert run.states == {"wait": "failed"}
    assert run.tries == {"wait": 1}


def test_deferrable_defaults_to_the_airflow_setting() -> None:
    assert MediaExistsSensor(task_id="wait", media_id=1).deferrable is False

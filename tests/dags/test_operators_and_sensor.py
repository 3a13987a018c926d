"""Operators and sensor as Airflow's tasks: their XComs, how they wait, and which failures Airflow tries again."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_media.operators.media import (
    MediaCleanupOperator,
    MediaDeleteOperator,
    MediaGetOperator,
    MediaUploadOperator,
)
from airflow_provider_media.references import ListedReferences
from airflow_provider_media.sensors.media import MediaExistsSensor
from tests.dags.helpers.older_airflows import needs_the_exception

if TYPE_CHECKING:
    from pathlib import Path

CONNECTION_ONCE = {"max_attempts": 1, "settle_seconds": 0}


def new_dag(name: str) -> DAG:
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False)


def test_id_of_an_upload_works_downstream(platform: Any, run_dag: Any, media_folder: Path) -> None:
    with new_dag("plain_id") as dag:
        upload = MediaUploadOperator(task_id="upload", file=str(media_folder / "banner.jpg"), name="b-{{ ds }}")
        get = MediaGetOperator(task_id="get", media_id=upload.output["id"])
        MediaDeleteOperator(task_id="delete", media_id=get.output["id"])
    run = run_dag(dag)

    assert run.state == "success"
    assert run.xcom("upload", "id") == run.xcom("get")["id"]
    assert [run.xcom("upload", "id")] == run.xcom("delete")["deleted"]
    assert run.xcom("upload")["url"] == run.xcom("upload", "url")


def test_ids_of_mapped_uploads_work_downstream(platform: Any, run_dag: Any, media_folder: Path) -> None:
    files = [str(media_folder / name) for name in ("card-latte.jpg", "card-tonic.png")]
    with new_dag("mapped_ids") as dag:

        @task
        def count(ids: Any) -> int:
            return len(list(ids))

        upload = MediaUploadOperator.partial(task_id="upload").expand(file=files)
        wait = MediaExistsSensor(task_id="wait", media_ids=upload.output["id"], timeout=5)
        delete = MediaDeleteOperator(task_id="delete", media_ids=upload.output["id"])
        wait >> count(upload.output["id"]) >> delete
    run = run_dag(dag)

    ids = [run.xcom(f"upload[{index}]", "id") for index in range(2)]
    assert run.state == "success"
    assert ids == [media["id"] for media in run.xcom("wait")]
    assert run.xcom("count") == 2
    assert ids == run.xcom("delete")["deleted"]


def store_after_the_first_poll(platform: Any, file: Path, name: str) -> threading.Thread:
    """Store the file from a thread after the sensor's first poll."""

    def wait_and_store() -> None:
        for _ in range(400):
            if platform.calls("GET"):
                break
            threading.Event().wait(0.05)
        platform.store(file, name)

    thread = threading.Thread(target=wait_and_store)
    thread.start()
    return thread


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_sensor_finds_a_file_that_arrives_later(mode: str, platform: Any, run_dag: Any, media_folder: Path) -> None:
    with new_dag(f"late_{mode}") as dag:
        MediaExistsSensor(task_id="wait", name="late-{{ ds }}", mode=mode, poke_interval=0.2, timeout=30)
    other = store_after_the_first_poll(platform, media_folder / "card-latte.jpg", "late-2026-07-01")
    run = run_dag(dag)
    other.join()

    assert run.states == {"wait": "success"}
    assert run.xcom("wait")["name"] == "late-2026-07-01"
    assert platform.calls("GET") >= 2


def test_sensor_that_finds_nothing_in_time_fails_without_a_retry(platform: Any, run_dag: Any) -> None:
    with new_dag("never") as dag:
        MediaExistsSensor(task_id="wait", name="never", poke_interval=0.1, timeout=0.3, retries=3)
    run = run_dag(dag)

    assert run.states == {"wait": "failed"}
    assert run.tries == {"wait": 1}


def test_wrong_key_fails_the_task_without_retries(platform: Any, run_dag: Any, media_folder: Path) -> None:
    platform.connect(platform.sandbox.base_url, "not-the-key")
    with new_dag("wrong_key") as dag:
        MediaUploadOperator(task_id="upload", file=str(media_folder / "banner.jpg"), retries=3)
    run = run_dag(dag)

    assert run.states == {"upload": "failed"}
    assert run.tries == {"upload": 1}


def test_missing_file_fails_the_task_without_retries(platform: Any, run_dag: Any) -> None:
    with new_dag("missing_file") as dag:
        MediaUploadOperator(task_id="upload", file="no-such-file.jpg", retries=3)
    run = run_dag(dag)

    assert run.states == {"upload": "failed"}
    assert run.tries == {"upload": 1}
    assert platform.calls("POST") == 0


def test_hook_in_a_task_function_fails_without_retries(platform: Any, run_dag: Any) -> None:
    with new_dag("hook_missing_file") as dag:

        @task(retries=3)
        def upload() -> None:
            from airflow_provider_media.hooks.media import MediaHook

            MediaHook().upload("no-such-file.jpg")

        upload()
    run = run_dag(dag)

    assert run.states == {"upload": "failed"}
    assert run.tries == {"upload": 1}


@needs_the_exception
def test_transient_failure_leaves_the_task_its_retries(platform: Any, run_dag: Any, media_folder: Path) -> None:
    platform.connect(platform.sandbox.base_url, platform.sandbox.api_key, **CONNECTION_ONCE)
    platform.add_fault(fault="status", status=503, method="POST", times=2)
    seen: list[str] = []
    with new_dag("transient") as dag:
        MediaUploadOperator(
            task_id="upload",
            file=str(media_folder / "banner.jpg"),
            retries=3,
            retry_delay=timedelta(0),
            on_retry_callback=lambda context: seen.append(type(context["exception"]).__name__),
        )
    run = run_dag(dag)

    assert seen == ["MediaUnavailableError", "MediaUnavailableError"]
    assert run.states == {"upload": "success"}
    assert run.tries == {"upload": 3}
    assert platform.names() == ["banner.jpg"]


def test_transient_failure_beyond_the_retries_fails_the_task(platform: Any, run_dag: Any, media_folder: Path) -> None:
    platform.connect(platform.sandbox.base_url, platform.sandbox.api_key, **CONNECTION_ONCE)
    platform.add_fault(fault="status", status=503, times=100)
    with new_dag("lasting") as dag:
        MediaUploadOperator(task_id="upload", file=str(media_folder / "banner.jpg"), retries=1)
    run = run_dag(dag)

    assert run.states == {"upload": "failed"}
    assert run.tries == {"upload": 2}


def test_a_mapped_delete_reads_references_of_an_earlier_task(platform: Any, run_dag: Any, media_folder: Path) -> None:
    ids = [platform.store(media_folder / "banner.jpg", name) for name in ("spring", "summer")]
    in_use = ListedReferences(variable="media_in_use_by_summer")
    with new_dag("mapped_delete") as dag:

        @task
        def write() -> None:
            in_use.write({ids[1]: ["summer campaign"]})

        delete = MediaDeleteOperator.partial(task_id="delete", references=in_use, on_reference="skip").expand(
            media_id=ids
        )
        write() >> delete
    run = run_dag(dag)

    assert run.state == "success"
    assert run.xcom("delete[0]")["deleted"] == [ids[0]]
    assert run.xcom("delete[1]")["skipped"] == [ids[1]]
    assert platform.names() == ["summer"]


def test_a_mapped_cleanup_is_a_dry_run_by_default(platform: Any, run_dag: Any, media_folder: Path) -> None:
    ids = [platform.store(media_folder / "banner.jpg", name) for name in ("spring", "summer")]
    with new_dag("mapped_cleanup") as dag:
        MediaCleanupOperator.partial(task_id="list").expand(name=["spring", "summer"])
        MediaCleanupOperator.partial(task_id="clean_up", older_than=timedelta(0, 0, 1)).expand(
            dry_run=["{{ 1 > 2 }}", True]
        )
        dag.get_task("list") >> dag.get_task("clean_up")
    run = run_dag(dag)

    assert [run.xcom(f"list[{index}]")["deleted"] for index in range(2)] == [[ids[0]], [ids[1]]]
    assert platform.items() == []
    assert sorted(run.xcom("clean_up[0]")["deleted"] + run.xcom("clean_up[0]")["missing"]) == ids
    assert run.xcom("clean_up[1]")["dry_run"] is True

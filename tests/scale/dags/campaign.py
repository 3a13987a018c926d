"""A campaign of many files: upload, wait, send, clean up; configured by the run's ``conf``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_media.hooks.media import MediaHook
from airflow_provider_media.operators.media import MediaDeleteOperator, MediaUploadOperator
from airflow_provider_media.sensors.media import MediaExistsSensor

BATCH = 10
RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=2)}

with DAG(
    "campaign",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_tasks=64,
    default_args={**RETRIES, "pool": "media_library"},  # one pool for all tasks that send requests to the platform
):

    @task(pool="default_pool")
    def list_files(dag_run: Any = None) -> list[dict[str, str]]:
        paths = sorted(Path(dag_run.conf["folder"]).iterdir())
        return [{"file": str(path), "name": f"autumn {path.name}"} for path in paths]

    @task(pool="default_pool")
    def list_names(files: list[dict[str, str]]) -> list[str]:
        return [file["name"] for file in files]

    @task(pool="default_pool")
    def make_batches(media: list[dict[str, Any]]) -> list[list[Any]]:
        ids = [item["id"] for item in media]
        return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]

    @task
    def send(batch: list[Any]) -> list[Any]:
        """Fetch each file, and "send" it."""
        hook = MediaHook()
        return [hook.get_media(media_id).id for media_id in batch]

    @task.sensor(pool="default_pool", mode="reschedule", poke_interval=2, timeout=600)
    def checked(dag_run: Any = None) -> bool:
        """Wait until the test has checked the library."""
        return Path(dag_run.conf["checked"]).exists()

    files = list_files()
    upload = MediaUploadOperator.partial(task_id="upload").expand_kwargs(files)
    wait = MediaExistsSensor(
        task_id="wait", pool="default_pool", names=list_names(files), deferrable=True, poke_interval=5, timeout=3600
    )
    clean_up = MediaDeleteOperator(task_id="clean_up", media_ids=upload.output["id"])
    send.expand(batch=make_batches(wait.output)) >> checked() >> clean_up

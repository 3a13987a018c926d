"""A mapped deferrable sensor with one name each, configured by the run's ``conf``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_media.sensors.media import MediaExistsSensor

with DAG("wait_mapped", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), max_active_tasks=1000):

    @task
    def names(dag_run: Any = None) -> list[str]:
        return [f"file {number}" for number in range(dag_run.conf["files"])]

    MediaExistsSensor.partial(
        task_id="wait",
        deferrable=True,
        poke_interval=2,  # INTERVAL_SECONDS of the test
        timeout=600,
        media_conn_id="{{ dag_run.conf['media_conn_id'] }}",
        retries=2,  # on a busy machine Airflow may consider a task dead
        retry_delay=timedelta(seconds=1),
    ).expand(name=names())

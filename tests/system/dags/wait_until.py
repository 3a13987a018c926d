"""Two deferrable sensors with a deadline, configured by the run's ``conf``; one fails, the other is skipped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_media.sensors.media import MediaExistsSensor

with DAG("wait_until", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    for task_id, soft_fail in {"fails": False, "skips": True}.items():
        MediaExistsSensor(
            task_id=task_id,
            names=["there", "missing"],
            needed_by="{{ dag_run.conf['needed_by'] }}",
            soft_fail=soft_fail,
            deferrable=True,
            poke_interval=2,
            timeout=600,
            media_conn_id="{{ dag_run.conf['media_conn_id'] }}",
            retries=2,
            retry_delay=timedelta(seconds=1),
        )

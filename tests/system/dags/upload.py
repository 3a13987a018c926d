"""One upload, configured by the run's ``conf``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_media.operators.media import MediaUploadOperator

with DAG("upload", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    MediaUploadOperator(
        task_id="upload",
        file="{{ dag_run.conf['file'] }}",
        name="{{ dag_run.conf['name'] }}",
        if_exists="{{ dag_run.conf['if_exists'] }}",
        media_conn_id="{{ dag_run.conf['media_conn_id'] }}",
        retries=2,
        retry_delay=timedelta(seconds=1),
    )

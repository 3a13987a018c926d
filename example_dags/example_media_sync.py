"""A campaign's folder: synced to the library, sent file by file, and deleted afterwards.

The sync uploads new files, replaces changed files and keeps the others, so that the send uses the folder's current
files. It checks all files for the channel before the first upload.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_media.operators.media import MediaDeleteOperator, MediaSyncOperator

MEDIA = Path(__file__).parent / "media"
DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"
"""The date of a run; works without a logical date too (manual and asset-triggered runs on Airflow 3)."""

with DAG(
    dag_id="example_media_sync",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # because concurrent syncs of one folder do not detect each other's files
    tags=["example", "media"],
    doc_md=__doc__,
    default_args={"retries": 2},
):
    sync = MediaSyncOperator(
        task_id="sync_media",
        source=str(MEDIA),  # or "s3://bucket/summer-week"
        name_template="summer-week-" + DAY + "/{path}",
        channels=["rcs"],
    )

    # A task mapped over a dict receives pairs of key and value: here, a path and its entry. (Airflow's .map() does not
    # support dicts, at least up to 3.3.)
    @task(map_index_template="{{ task.op_kwargs['pair'][0] }}")
    def send(pair: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        """Build one message; replace this with your own send."""
        path, entry = pair
        return {"richCard": {"title": path, "media": {"mediaId": entry["id"], "height": "MEDIUM"}}}

    sends = send.expand(pair=sync.output)

    # A template selects one entry by its path.
    @task
    def report(banner: str, files: str) -> str:
        """Return a summary."""
        return f"{files} messages; the banner is {banner}"

    summary = report(
        banner="{{ ti.xcom_pull('sync_media')['banner.jpg']['url'] }}",
        files="{{ ti.xcom_pull('sync_media') | length }}",
    )

    # A teardown also runs if a send failed. It does not run after a failed sync; the next sync reuses its files.
    delete = MediaDeleteOperator(
        task_id="delete_media",
        media_ids="{{ ti.xcom_pull('sync_media').values() | map(attribute='id') | list | tojson }}",
        if_missing="ignore",
    )

    sends >> summary >> delete.as_teardown(setups=sync)

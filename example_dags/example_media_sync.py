"""A whole folder of a campaign at once: brought into the library, sent entry by entry, and deleted afterwards.

Whatever the designers put into the folder, or change in it until the last minute, is what the send uses: the sync sends
what the library lacks, replaces what changed and keeps the rest. The check for the channel comes before the first byte.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_media.operators.media import MediaDeleteOperator, MediaSyncOperator

MEDIA = Path(__file__).parent / "media"
DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"
"""The day of a run; also of one that is triggered by hand or by an asset, and on Airflow 3 has no logical date."""

with DAG(
    dag_id="example_media_sync",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # two syncs at once of one folder would not see each other's files
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

    # Mapped over a dict, a task gets pairs of key and value: here, of a path and its entry. (Airflow's .map() cannot
    # be put in between: over a dict it fails, up to 3.3 at least.)
    @task(map_index_template="{{ task.op_kwargs['pair'][0] }}")
    def send(pair: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        """Build one message; your own send goes here."""
        path, entry = pair
        return {"richCard": {"title": path, "media": {"mediaId": entry["id"], "height": "MEDIUM"}}}

    sends = send.expand(pair=sync.output)

    # One entry is found by its path, as in every template.
    @task
    def report(banner: str, files: str) -> str:
        """Tell what was sent."""
        return f"{files} messages; the banner is {banner}"

    summary = report(
        banner="{{ ti.xcom_pull('sync_media')['banner.jpg']['url'] }}",
        files="{{ ti.xcom_pull('sync_media') | length }}",
    )

    # A teardown runs whatever became of the sends. After a sync that failed it does not: the next run's sync keeps what
    # is there already.
    delete = MediaDeleteOperator(
        task_id="delete_media",
        media_ids="{{ ti.xcom_pull('sync_media').values() | map(attribute='id') | list | tojson }}",
        if_missing="ignore",
    )

    sends >> summary >> delete.as_teardown(setups=sync)

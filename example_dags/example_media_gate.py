"""A gate before the send: the files are in the library, the channel accepts them, and their URLs serve them.

The DAG syncs a folder, checks what is in the library then, lets a person approve it (Airflow 3.1 and later), sends one
message for each file, and deletes the files afterwards, with a backup.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_media.operators.media import MediaDeleteOperator, MediaSyncOperator
from airflow_provider_media.sensors.media import MediaExistsSensor

MEDIA = Path(__file__).parent / "media"
BACKUP = Path(tempfile.gettempdir()) / "example_media_gate"
DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"
"""The date of a run; works without a logical date too (manual and asset-triggered runs on Airflow 3)."""

with DAG(
    dag_id="example_media_gate",
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
        name_template="summer-gate-" + DAY + "/{path}",
    )

    # Checks what is in the library, not the local files. A failure lists all files and reasons.
    gate = MediaExistsSensor(
        task_id="check_before_send",
        media_ids=sync.output,
        channels=["rcs"],
        check_url=True,
        poke_interval=5,
        timeout=120,
        warn_before=timedelta(seconds=60),
    )

    @task(map_index_template="{{ task.op_kwargs['media']['name'] }}")
    def send(media: dict[str, Any]) -> dict[str, Any]:
        """Build one message; replace this with your own send."""
        return {"richCard": {"title": media["name"], "media": {"mediaId": media["id"], "height": "MEDIUM"}}}

    sends = send.expand(media=gate.output)

    if airflow_version.startswith(("2.", "3.0.")):  # these have no approvals
        gate >> sends
    else:
        from airflow.providers.standard.operators.hitl import ApprovalOperator

        @task
        def describe(media: Any) -> str:
            """Return the text of the approval."""
            from airflow_provider_media.reports import approval_body

            return approval_body(media)

        # The standard providers of Airflow 3.1 have no response_timeout.
        timeout: dict[str, Any] = {
            "execution_timeout" if airflow_version.startswith("3.1.") else "response_timeout": timedelta(hours=4)
        }
        approve = ApprovalOperator(
            task_id="approve",
            subject="Send the summer campaign?",
            body=describe(gate.output),  # the result of a task is not rendered as a template
            retries=0,
            **timeout,
        )
        approve >> sends

    # A teardown also runs if a send failed, or if nobody approved it.
    delete = MediaDeleteOperator(
        task_id="delete_media",
        media_ids="{{ ti.xcom_pull('sync_media').values() | map(attribute='id') | list | tojson }}",
        if_missing="ignore",
        backup_to=str(BACKUP / DAY),  # or "s3://bucket/backup"
    )

    sends >> delete.as_teardown(setups=sync)

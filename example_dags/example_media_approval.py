"""Sync a campaign's folder, let a person approve its media, then send (Airflow 3.1 and later).

The approval is on the run's *Required Actions* tab, with previews, sizes and the findings of the channels. A rejection
skips the send.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow import __version__ as airflow_version

if not airflow_version.startswith(("2.", "3.0.")):  # these have no approvals, so this file defines no DAG there
    from airflow.providers.standard.operators.hitl import ApprovalOperator
    from airflow.sdk import DAG, task

    from airflow_provider_media.operators.media import MediaSyncOperator

    with DAG(
        dag_id="example_media_approval",
        schedule=None,
        tags=["example", "media"],
        doc_md=__doc__,
        default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    ):
        sync = MediaSyncOperator(
            task_id="sync",
            source=str(Path(__file__).parent / "media"),
            name_template="summer-{stem}",
            channels=["rcs"],
        )

        @task
        def describe(manifest: Any) -> str:
            """Return the text of the approval."""
            from airflow_provider_media.reports import approval_body

            return approval_body(manifest)

        # The standard providers of Airflow 3.1 have no response_timeout.
        timeout: dict[str, Any] = {
            "execution_timeout" if airflow_version.startswith("3.1.") else "response_timeout": timedelta(hours=4)
        }
        approve = ApprovalOperator(
            task_id="approve",
            subject="Send the summer campaign?",
            body=describe(sync.output),  # the result of a task is not rendered as a template
            retries=0,
            **timeout,
        )

        @task
        def send(manifest: Any) -> list[int | str]:
            """Send the messages."""
            # Replace this with your own step.
            return [entry["id"] for entry in manifest.values()]

        approve >> send(sync.output)

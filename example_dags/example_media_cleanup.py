"""Weekly cleanup of the library: delete files of past campaigns that are no longer used.

The first task writes the list of files in use. The cleanup selects files, checks them against that list, and logs what
it would delete. Review the log, then trigger the DAG with ``{"delete": true}``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_media.operators.media import MediaCleanupOperator
from airflow_provider_media.references import ListedReferences

IN_USE = ListedReferences(variable="media_in_use", max_age=timedelta(hours=6))

with DAG(
    dag_id="example_media_cleanup",
    schedule=None,  # yours may be "@weekly"
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["example", "media"],
    doc_md=__doc__,
    params={"delete": Param(default=False, type="boolean")},
):

    @task
    def write_references() -> list[str]:
        """Query your campaign system for the media of all campaigns and templates that are not yet sent."""
        users = {17: ["autumn campaign", "welcome template"], 18: ["autumn campaign"]}  # replace with your own query
        IN_USE.write(users)
        return sorted(map(str, users))

    clean_up = MediaCleanupOperator(
        task_id="clean_up",
        name="summer-*",
        older_than=timedelta(days=30),
        keep_last=1,
        max_deletions=200,
        references=IN_USE,
        on_reference="skip",
        dry_run="{{ not params.delete }}",
    )

    write_references() >> clean_up

"""A campaign's media from a bucket: synced into the library, checked before the send.

Designers keep the images and the video of a campaign under one prefix of an S3 bucket and change them until the last
minute. The sync uploads new files, replaces changed files and keeps the others. The worker streams the files to the
library without storing them on disk. Any object storage that Airflow supports works: ``gs://``, ``abfs://``, ``file://``.

Requires ``apache-airflow-providers-amazon`` with the extra ``s3fs`` and an Airflow connection for the bucket.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_media.operators.media import MediaSyncOperator
from airflow_provider_media.sensors.media import MediaExistsSensor

with DAG(
    dag_id="example_media_object_storage",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # because two runs would replace each other's files
    tags=["example", "media"],
    doc_md=__doc__,
    default_args={"retries": 2},
    params={
        "prefix": Param(
            default="s3://aws_default@campaigns/summer",
            type="string",
            description="Location of the media: Airflow connection, bucket and prefix",
        )
    },
) as dag:
    sync = MediaSyncOperator(
        task_id="sync",
        source="{{ params.prefix }}",
        name_template="summer/{path}",
        channels=["rcs"],
    )

    # Check again, because a message with the id of a deleted file would fail.
    gate = MediaExistsSensor(
        task_id="check_before_send",
        media_ids="{{ ti.xcom_pull('sync').values() | map(attribute='id') | list | tojson }}",
        poke_interval=5,
        timeout=30,
    )

    @task
    def send_campaign(manifest: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Build the message; the keys of the manifest are paths below the prefix."""
        cards = [path for path in manifest if path.startswith("cards/")]
        # Replace this with your own send: pass the message to your messaging platform.
        return {
            "richCard": {"title": "Iced days, sunny prices", "media": {"mediaId": manifest["banner.jpg"]["id"]}},
            "carousel": [{"media": {"mediaId": manifest[path]["id"]}} for path in cards],
        }

    sync >> gate >> send_campaign(sync.output)  # type: ignore[arg-type]  # Airflow resolves the output at run time

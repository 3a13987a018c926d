"""A campaign's media from a bucket: synced into the library, checked before the send.

Designers keep the pictures and the video of a campaign under one prefix of an S3 bucket and change them until the last
minute. The sync sends what is new, replaces what changed and keeps the rest; the files go through the worker to the
library without being stored on its disk. Any file system that Airflow knows will do: ``gs://``, ``abfs://``, ``file://``.

Needs ``apache-airflow-providers-amazon`` with the extra ``s3fs`` and an Airflow connection for the bucket.
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
    max_active_runs=1,  # two runs would replace each other's files
    tags=["example", "media"],
    doc_md=__doc__,
    default_args={"retries": 2},
    params={
        "prefix": Param(
            default="s3://aws_default@campaigns/summer",
            type="string",
            description="Where the media are: the Airflow connection, the bucket and the prefix",
        )
    },
) as dag:
    sync = MediaSyncOperator(
        task_id="sync",
        source="{{ params.prefix }}",
        name_template="summer/{path}",
        channels=["rcs"],
    )

    # Between the sync and the send somebody may have tidied up: a message with an id that is gone would fail.
    gate = MediaExistsSensor(
        task_id="check_before_send",
        media_ids="{{ ti.xcom_pull('sync').values() | map(attribute='id') | list | tojson }}",
        poke_interval=5,
        timeout=30,
    )

    @task
    def send_campaign(manifest: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Build the message; a file is found by its path under the prefix."""
        cards = [path for path in manifest if path.startswith("cards/")]
        # Your own send goes here: call your messaging platform with this message.
        return {
            "richCard": {"title": "Iced days, sunny prices", "media": {"mediaId": manifest["banner.jpg"]["id"]}},
            "carousel": [{"media": {"mediaId": manifest[path]["id"]}} for path in cards],
        }

    sync >> gate >> send_campaign(sync.output)  # type: ignore[arg-type]  # the manifest is there when the task runs

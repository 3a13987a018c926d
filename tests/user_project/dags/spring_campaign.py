"""The spring campaign: put its banner into the library, make sure of it, send."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_media.operators.media import MediaUploadOperator
from airflow_provider_media.sensors.media import MediaExistsSensor

FOLDER = Path(os.environ.get("CAMPAIGN_FOLDER", "/data/campaign"))

with DAG("spring_campaign", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False):
    upload = MediaUploadOperator(
        task_id="upload",
        file=str(FOLDER / "banner.png"),
        name="spring-{{ (dag_run.logical_date or dag_run.run_after) | ds }}",
        if_exists="fail",
    )
    wait = MediaExistsSensor(task_id="wait", media_id=upload.output["id"], timeout=60)

    @task
    def send(media):
        """Write the message where the sender picks it up."""
        message = {"text": "Spring is here", "mediaId": media["id"]}
        (FOLDER / "outbox.json").write_text(json.dumps(message))

    send(wait.output)

"""An upload triggers the DAG that sends: both use the same asset, and its events contain the media ids.

The asset represents the banner in general; each day's file has a different name, which is in the event. (Airflow 2.11
calls assets datasets.)
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, task

from airflow_provider_media.assets.media import media_asset
from airflow_provider_media.operators.media import MediaUploadOperator

MEDIA = Path(__file__).parent / "media"
DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"
"""The date of a run; works without a logical date too (manual and asset-triggered runs on Airflow 3)."""
BANNER = media_asset("media_default", "daily-banner")

with DAG(
    dag_id="example_media_assets",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["example", "media"],
    doc_md=__doc__,
    default_args={"retries": 2},
):
    MediaUploadOperator(
        task_id="upload_banner",
        file=str(MEDIA / "banner.jpg"),
        name=f"daily-banner-{DAY}",
        outlets=[BANNER],
    )

with DAG(
    dag_id="example_media_assets_send",
    schedule=[BANNER],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["example", "media"],
    doc_md=__doc__,
    default_args={"retries": 2},
):

    @task(multiple_outputs=False)
    def build_message(**context: Any) -> dict[str, Any]:
        """Build the message with the newest banner; one run may have several events."""
        kind = "asset" if "triggering_asset_events" in context else "dataset"  # Airflow 2.11
        events = [event for of_asset in context[f"triggering_{kind}_events"].values() for event in of_asset]
        if not events:
            raise AirflowSkipException("This run has no asset events. Run example_media_assets to upload a banner.")
        newest = max(events, key=lambda event: event.timestamp).extra
        return {"title": newest["name"], "media": {"mediaId": newest["id"], "height": "TALL"}}

    @task
    def send(message: Any) -> None:
        """Send the message."""
        # Replace this with your own send.
        logging.getLogger(__name__).info("Sent %s", message)

    send(build_message())

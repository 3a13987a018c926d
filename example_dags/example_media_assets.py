"""An upload starts the DAG that sends: the two share an asset, and its events carry the media's ids.

The asset is the banner as such; each day's file has a name of its own, which the event tells. (Airflow 2.11 calls
assets datasets.)
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
"""The day of a run; also of one that is triggered by hand or by an asset, and on Airflow 3 has no logical date."""
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
        """Build the message with the newest banner; several uploads may have come together."""
        kind = "asset" if "triggering_asset_events" in context else "dataset"  # Airflow 2.11
        events = [event for of_asset in context[f"triggering_{kind}_events"].values() for event in of_asset]
        if not events:
            raise AirflowSkipException("No asset event started this run: let example_media_assets upload a banner.")
        newest = max(events, key=lambda event: event.timestamp).extra
        return {"title": newest["name"], "media": {"mediaId": newest["id"], "height": "TALL"}}

    @task
    def send(message: Any) -> None:
        """Send it."""
        # Your own send goes here.
        logging.getLogger(__name__).info("Sent %s", message)

    send(build_message())

"""A campaign that waits for images from other teams, until at most an hour before its send.

The designers upload a banner and three cards when they are ready. The wait takes no worker slot. If files are missing
at the deadline, the task fails with their names while there is still time to act. Files found earlier must still exist.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_media.sensors.media import MediaExistsSensor

DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"
"""The date of a run; works without a logical date too (manual and asset-triggered runs on Airflow 3)."""


def send_time(dag_run: Any) -> datetime:
    """Return the time of the send: 18:00 UTC on the day of the run."""
    due: datetime = dag_run.data_interval_end or dag_run.run_after
    return due.replace(hour=18, minute=0, second=0, microsecond=0)


with DAG(
    dag_id="example_media_wait_for_assets",
    schedule=None,  # yours may be "0 6 * * *"
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["example", "media"],
    doc_md=__doc__,
    default_args={"retries": 2},
    user_defined_macros={"send_time": send_time},
):
    wait = MediaExistsSensor(
        task_id="wait_for_images",
        names=[f"autumn-banner-{DAY}", f"autumn-card-*-{DAY}"],
        min_matches=3,  # cards
        needed_by="{{ send_time(dag_run) - macros.timedelta(hours=1) }}",
        timeout=24 * 60 * 60,  # so that needed_by is the earlier limit
        poke_interval=60,
        deferrable=True,
    )

    @task
    def send_campaign(images: list[dict[str, Any]], dag_run: Any = None) -> dict[str, Any]:
        """Build the message; the files are in the order of ``names``: the banner, then the cards."""
        banner, *cards = images
        message = {
            "sendAt": send_time(dag_run).isoformat(),
            "richCard": {"title": "Autumn is here", "media": {"mediaId": banner["id"], "height": "TALL"}},
            "carousel": [{"title": card["name"], "media": {"mediaId": card["id"]}} for card in cards],
        }
        # Replace this with your own send: pass the message to your messaging platform.
        return message  # noqa: RET504 - so that your own send can use the variable

    send_campaign(wait.output)  # type: ignore[arg-type]  # Airflow resolves the output at run time

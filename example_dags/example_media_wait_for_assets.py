"""A campaign whose pictures others deliver: it waits for them, at most until an hour before its send.

The designers store a banner and three cards when they are ready. The wait takes no worker slot. If it is in vain, the
task says what is missing while there is still time to act; and what was found must be there at the wait's end, too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_media.sensors.media import MediaExistsSensor

DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"
"""The day of a run; also of one that is triggered by hand or by an asset, and on Airflow 3 has no logical date."""


def send_time(dag_run: Any) -> datetime:
    """Return when the campaign goes out: at 18:00 (UTC) of the day on which the run is due."""
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
        task_id="wait_for_pictures",
        names=[f"autumn-banner-{DAY}", f"autumn-card-*-{DAY}"],
        min_matches=3,  # cards
        needed_by="{{ send_time(dag_run) - macros.timedelta(hours=1) }}",
        timeout=24 * 60 * 60,  # no earlier limit than needed_by
        poke_interval=60,
        deferrable=True,
    )

    @task
    def send_campaign(pictures: list[dict[str, Any]], dag_run: Any = None) -> dict[str, Any]:
        """Build the message: the banner comes first, as asked for, then the cards."""
        banner, *cards = pictures
        message = {
            "sendAt": send_time(dag_run).isoformat(),
            "richCard": {"title": "Autumn is here", "media": {"mediaId": banner["id"], "height": "TALL"}},
            "carousel": [{"title": card["name"], "media": {"mediaId": card["id"]}} for card in cards],
        }
        # Your own send goes here: hand the message to your messaging platform.
        return message  # noqa: RET504 - so that the place above can use it

    send_campaign(wait.output)  # type: ignore[arg-type]  # the output is there when the task runs

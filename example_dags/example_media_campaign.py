"""A campaign's media from upload to cleanup.

The DAG uploads a banner, three carousel images and a video, waits for them, checks them again just before the send,
builds an RCS and a WhatsApp message, and deletes the files afterwards, even if a task failed.
"""

# Airflow's type of an operator's output, XComArg, does not declare []:
# mypy: disable-error-code="index"

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, Param, task

from airflow_provider_media.operators.media import MediaDeleteOperator, MediaUploadOperator
from airflow_provider_media.sensors.media import MediaExistsSensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

MEDIA = Path(__file__).parent / "media"
DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"
"""The date of a run; works without a logical date too (manual and asset-triggered runs on Airflow 3)."""
DRINKS = {"latte": "card-latte.jpg", "cold_brew": "card-cold-brew.jpg", "tonic": "card-tonic.png"}


def skip_if_kept(context: Context) -> None:
    """Skip the deletion if ``keep_media`` is set."""
    if context["params"]["keep_media"]:
        raise AirflowSkipException("keep_media is set; nothing is deleted.")


with DAG(
    dag_id="example_media_campaign",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # because two runs on the same day use the same files, and the first deletes them
    tags=["example", "media"],
    doc_md=__doc__,
    default_args={"retries": 2},
    params={"keep_media": Param(default=False, type="boolean", description="Keep the media after the send?")},
) as dag:
    # The names include the date, so that a second run on the same day reuses the files.
    banner = MediaUploadOperator(
        task_id="upload_banner",
        file=str(MEDIA / "banner.jpg"),
        name=f"summer-week-banner-{DAY}",
        description="Summer week: the banner of the rich card",
        channels=["rcs"],  # files that the channel does not accept fail here, before the send
    )
    cards = [
        MediaUploadOperator(
            task_id=f"upload_card_{drink}",
            file=str(MEDIA / file_name),
            name=f"summer-week-{Path(file_name).stem}-{DAY}",
            channels=["rcs"],
        )
        for drink, file_name in DRINKS.items()
    ]
    video = MediaUploadOperator(
        task_id="upload_video",
        file=str(MEDIA / "pour.mp4"),
        name=f"summer-week-video-{DAY}",
        channels=["whatsapp"],
    )
    uploads = [banner, *cards, video]

    wait = MediaExistsSensor(
        task_id="wait_for_media",
        names=[f"summer-week-banner-{DAY}", f"summer-week-card-*-{DAY}", f"summer-week-video-{DAY}"],
        min_matches=len(cards),
        mode="reschedule",
        poke_interval=60,
        timeout=60 * 60,
    )

    # Check again, because a message with the id of a deleted file would fail.
    gate = MediaExistsSensor(
        task_id="check_before_send",
        media_ids=[upload.output["id"] for upload in uploads],
        poke_interval=5,
        timeout=30,
    )

    @task
    def send_campaign(banner_id: int, card_ids: list[int], video_id: int) -> dict[str, Any]:
        """Build the two messages with the library's ids."""
        rich_card = {"title": "Iced days, sunny prices", "media": {"mediaId": banner_id, "height": "MEDIUM"}}
        carousel = [
            {"title": drink.replace("_", " ").capitalize(), "media": {"mediaId": card_id, "height": "MEDIUM"}}
            for drink, card_id in zip(DRINKS, card_ids, strict=True)
        ]
        messages = {
            "rcs": {"richCard": rich_card, "carousel": {"cardWidth": "MEDIUM", "cards": carousel}},
            "whatsapp": {"type": "video", "video": {"id": video_id, "caption": "20% off every cold drink"}},
        }
        # Replace this with your own send: pass the messages to your messaging platform.
        return messages  # noqa: RET504 - so that your own send can use the variable

    send = send_campaign(banner.output["id"], [card.output["id"] for card in cards], video.output["id"])

    # A teardown also runs if the send failed. Failed uploads have no id, so nothing is deleted for them.
    delete = MediaDeleteOperator(
        task_id="delete_media",
        media_ids=[upload.output["id"] for upload in uploads],
        if_missing="ignore",
        pre_execute=skip_if_kept,
    )

    uploads >> wait >> gate >> send >> delete.as_teardown(setups=uploads)

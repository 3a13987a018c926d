"""One mapped task per picture: as many uploads as the run finds files, and their ids used one by one and together."""

# Airflow types an operator's output as an XComArg, which does not tell of its []:
# mypy: disable-error-code="index"

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_media.operators.media import MediaGetOperator, MediaUploadOperator

if TYPE_CHECKING:
    from collections.abc import Iterable

MEDIA = Path(__file__).parent / "media"
DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"
"""The day of a run; also of one that is triggered by hand or by an asset, and on Airflow 3 has no logical date."""

with DAG(
    dag_id="example_media_mapped",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["example", "media"],
    doc_md=__doc__,
    default_args={"retries": 2},
):

    @task
    def find_pictures() -> list[dict[str, str]]:
        """Tell the arguments of each upload; a real DAG would list a bucket or ask a content system."""
        pictures = sorted(MEDIA.glob("card-*"))
        return [{"file": str(path), "name": f"mapped-{path.stem}-{DAY}"} for path in pictures]

    upload = MediaUploadOperator.partial(
        task_id="upload_pictures",
        max_active_tis_per_dagrun=4,  # gentle to the platform's rate limit
        map_index_template="{{ task.name }}",  # what the grid shows instead of 0, 1, 2
    ).expand_kwargs(find_pictures())

    # One mapped task per id: Airflow maps over a task's result, so the id is taken out of it ...
    check = MediaGetOperator.partial(
        task_id="check_pictures",
        map_index_template="media {{ task.media_id }}",
    ).expand(media_id=upload.output.map(lambda media: media["id"]))

    @task
    def build_carousel(media_ids: Iterable[int]) -> list[dict[str, Any]]:
        """... and one task for all of them, in the order of the files."""
        return [{"media": {"mediaId": media_id, "height": "MEDIUM"}} for media_id in media_ids]

    check >> build_carousel(upload.output["id"])

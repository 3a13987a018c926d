"""One mapped upload per file; later tasks use the ids one by one and together."""

# Airflow's type of an operator's output, XComArg, does not declare []:
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
"""The date of a run; works without a logical date too (manual and asset-triggered runs on Airflow 3)."""

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
    def find_images() -> list[dict[str, str]]:
        """Return the arguments of each upload; a real DAG would list a bucket or query a content system."""
        paths = sorted(MEDIA.glob("card-*"))
        return [{"file": str(path), "name": f"mapped-{path.stem}-{DAY}"} for path in paths]

    upload = MediaUploadOperator.partial(
        task_id="upload_images",
        max_active_tis_per_dagrun=4,  # because of the platform's rate limit
        map_index_template="{{ task.name }}",  # the label in the grid instead of 0, 1, 2
    ).expand_kwargs(find_images())

    # One mapped task per id, which .map() extracts from each upload's result.
    check = MediaGetOperator.partial(
        task_id="check_images",
        map_index_template="media {{ task.media_id }}",
    ).expand(media_id=upload.output.map(lambda media: media["id"]))

    @task
    def build_carousel(media_ids: Iterable[int]) -> list[dict[str, Any]]:
        """Build one message with all ids, in the order of the files."""
        return [{"media": {"mediaId": media_id, "height": "MEDIUM"}} for media_id in media_ids]

    check >> build_carousel(upload.output["id"])

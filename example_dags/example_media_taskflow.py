"""The hook in ``@task`` functions, for custom steps around an upload, such as generating the image."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import dag, setup, task, teardown

MEDIA = Path(__file__).parent / "media"


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["example", "media"],
    doc_md=__doc__,
    default_args={"retries": 2},
)
def example_media_taskflow() -> None:
    """Upload, use and delete a file; the tasks import the hook, so that parsing the DAG file stays fast."""

    @setup
    @task(multiple_outputs=False)  # because Airflow 3.0 cannot push keys whose value is None
    def upload_banner(dag_run: Any = None) -> dict[str, Any]:
        """Upload the banner of the day, or reuse the file of an earlier attempt."""
        from airflow_provider_media.hooks.media import MediaHook

        # Manual and asset-triggered runs have no logical date on Airflow 3.
        day = (dag_run.logical_date or dag_run.run_after).date()
        result = MediaHook().upload(MEDIA / "banner.jpg", name=f"taskflow-banner-{day}", if_exists="reuse")
        return result.media.to_dict()

    @task
    def report(banner: dict[str, Any]) -> dict[str, Any]:
        """Return the banner's URL and the number of files in the library."""
        from airflow_provider_media.hooks.media import MediaHook

        count = sum(1 for _ in MediaHook().iter_media())
        return {"banner": banner["url"], "files_in_library": count}

    @teardown
    @task
    def delete_banner(banner: dict[str, Any]) -> None:
        """Delete the banner if it exists."""
        from airflow_provider_media.hooks.media import MediaHook

        hook = MediaHook()
        if hook.exists(banner["id"]):
            hook.delete(banner["id"])

    banner = upload_banner()
    report(banner) >> delete_banner(banner)


example_media_taskflow()

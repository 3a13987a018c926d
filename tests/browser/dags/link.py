"""Tasks with a link: mapped uploads, an upload and mapped syncs that fail later, a get, a deferred sensor."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_media.operators.media import MediaGetOperator, MediaSyncOperator, MediaUploadOperator
from airflow_provider_media.sensors.media import MediaExistsSensor


def wait_and_fail(context: Any, _result: Any) -> None:
    """Wait until the test creates the file, at most 60 seconds, then fail."""
    deadline = time.monotonic() + 60
    while not Path(context["params"]["go_on"]).exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    raise RuntimeError("The files are stored; the task fails.")


with DAG(
    "link",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={"folder": Param("", type="string"), "go_on": Param("", type="string")},
):
    banner = MediaUploadOperator(
        task_id="banner", file="{{ params.folder }}/banner.jpg", name="link-banner", media_conn_id="shop"
    )
    MediaUploadOperator.partial(task_id="cards", media_conn_id="shop").expand(
        file=["{{ params.folder }}/card-latte.jpg", "{{ params.folder }}/card-tonic.png"]
    )
    MediaUploadOperator(
        task_id="fails_later",
        file="{{ params.folder }}/card-cold-brew.jpg",
        name="link-cold-brew",
        post_execute=wait_and_fail,
        media_conn_id="shop",
    )
    MediaSyncOperator.partial(
        task_id="sync",
        source="{{ params.folder }}",
        name_template="link-sync-{path}",
        post_execute=wait_and_fail,
        media_conn_id="shop",
    ).expand(pattern=["banner.jpg", "*.mp4"])
    MediaGetOperator(task_id="get", media_id=banner.output["id"], media_conn_id="shop")
    MediaExistsSensor(
        task_id="wait", name="link-late", deferrable=True, poke_interval=1, timeout=120, media_conn_id="shop"
    )

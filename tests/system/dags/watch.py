"""DAGs triggered by new files in the library; their watchers share one poller of the connection ``media_default``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_media.triggers.events import MediaEventTrigger

for dag_id, name in {"watch": "matching *", "watch_others": "other *"}.items():
    watcher = AssetWatcher(name="library", trigger=MediaEventTrigger(name=name, poll_interval=1))
    with DAG(dag_id, schedule=[Asset(dag_id, watchers=[watcher])]):

        @task(retries=2, retry_delay=timedelta(seconds=1))  # on a busy machine Airflow may consider a task dead
        def collect(triggering_asset_events: Any = None) -> list[int]:
            return [event.extra["payload"]["id"] for events in triggering_asset_events.values() for event in events]

        collect()

"""New images in the library trigger this DAG (Airflow 3).

One run may have events of several images, and an image may have two events after a restart of the triggerer. The DAG
processes each id once.
"""

from __future__ import annotations

from typing import Any

from airflow import __version__ as airflow_version

SEEN = "example_media_event_driven_seen"
"""The Airflow Variable with the ids of the images that earlier runs processed."""

MAX_SEEN = 1000

if not airflow_version.startswith("2."):  # Airflow 2 has no event-driven scheduling, so this file defines no DAG there
    from airflow.providers.common.compat.sdk import AirflowSkipException
    from airflow.sdk import DAG, Asset, AssetWatcher, Variable, task

    from airflow_provider_media.triggers.events import MediaEventTrigger

    new_images = MediaEventTrigger(name="summer-*", mime_type="image/*", poll_interval=30)
    images = Asset("summer_images", watchers=[AssetWatcher(name="library", trigger=new_images)])

    with DAG(
        dag_id="example_media_event_driven",
        schedule=[images],
        max_active_runs=1,  # so that each run sees the ids of the previous one
        tags=["example", "media"],
        doc_md=__doc__,
        default_args={"retries": 2},
    ):

        @task
        def pick_new(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
            """Return the new images among this run's events, without duplicates."""
            seen = set(Variable.get(SEEN, default=[], deserialize_json=True))
            events = [event for of_asset in (triggering_asset_events or {}).values() for event in of_asset]
            if not events:
                raise AirflowSkipException("This run has no asset events. Upload an image to trigger the DAG.")
            arrived = {event.extra["payload"]["id"]: event.extra["payload"] for event in events}
            return [media for media_id, media in arrived.items() if media_id not in seen]

        @task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['media']['name'] }}")
        def build_card(media: dict[str, Any]) -> dict[str, Any]:
            """Process one image."""
            # Replace this with your own step.
            return {"title": media["name"], "media": {"mediaId": media["id"], "height": "MEDIUM"}}

        @task
        def mark_seen(processed: Any) -> None:
            """Store the ids at the end, so that the images of a failed run are processed again."""
            seen = Variable.get(SEEN, default=[], deserialize_json=True)
            newest = [*seen, *(media["id"] for media in processed)][-MAX_SEEN:]
            Variable.set(SEEN, newest, serialize_json=True)

        new = pick_new()
        build_card.expand(media=new) >> mark_seen(new)

"""New pictures in the library start this DAG by themselves (Airflow 3).

Pictures that come close together share a run, and after a restart of the triggerer one may come twice: so each is known
by its id, and taken once.
"""

from __future__ import annotations

from typing import Any

from airflow import __version__ as airflow_version

SEEN = "example_media_event_driven_seen"
"""An Airflow variable: the ids of the pictures that earlier runs took."""

REMEMBERED = 1000

if not airflow_version.startswith("2."):  # Airflow 2 cannot start DAGs by events: there, this file defines none
    from airflow.providers.common.compat.sdk import AirflowSkipException
    from airflow.sdk import DAG, Asset, AssetWatcher, Variable, task

    from airflow_provider_media.triggers.events import MediaEventTrigger

    new_pictures = MediaEventTrigger(name="summer-*", mime_type="image/*", poll_interval=30)
    pictures = Asset("summer_pictures", watchers=[AssetWatcher(name="library", trigger=new_pictures)])

    with DAG(
        dag_id="example_media_event_driven",
        schedule=[pictures],
        max_active_runs=1,  # so that no run misses what the one before has taken
        tags=["example", "media"],
        doc_md=__doc__,
        default_args={"retries": 2},
    ):

        @task
        def pick_new(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
            """Take each picture once, out of all events that started this run."""
            seen = set(Variable.get(SEEN, default=[], deserialize_json=True))
            events = [event for of_asset in (triggering_asset_events or {}).values() for event in of_asset]
            if not events:
                raise AirflowSkipException(
                    "No asset event started this run: it takes the pictures that events tell of."
                )
            arrived = {event.extra["payload"]["id"]: event.extra["payload"] for event in events}
            return [media for media_id, media in arrived.items() if media_id not in seen]

        @task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['media']['name'] }}")
        def build_card(media: dict[str, Any]) -> dict[str, Any]:
            """Do with one picture what is to be done."""
            # Your own step goes here.
            return {"title": media["name"], "media": {"mediaId": media["id"], "height": "MEDIUM"}}

        @task
        def remember(taken: Any) -> None:
            """Note them at the end: when a run fails before, its pictures do not count as taken."""
            seen = Variable.get(SEEN, default=[], deserialize_json=True)
            newest = [*seen, *(media["id"] for media in taken)][-REMEMBERED:]
            Variable.set(SEEN, newest, serialize_json=True)

        new = pick_new()
        build_card.expand(media=new) >> remember(new)

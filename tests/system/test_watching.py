"""DAGs triggered by new files and uploads: each file reaches a run, across a restart of the triggerer."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.system.helpers.airflow_system import wait_for

if TYPE_CHECKING:
    from pathlib import Path

FILES = 20
SECONDS_BETWEEN_FILES = 0.5
ASSETS = ("watch", "watch_others", "summer_images")
CONTENT = b"\x89PNG\r\n\x1a\n"
EXAMPLE = "example_media_event_driven"


def collected(platform: Any, dag_id: str) -> set[int]:
    """Return the ids in the triggering events of all runs."""
    return {media_id for run in platform.airflow.runs(dag_id) for media_id in run.xcom("collect") or ()}


def cards(platform: Any) -> Counter[int]:
    """Return the number of cards that all runs of the example built, by image id."""
    made: Counter[int] = Counter()
    for run in platform.airflow.runs(EXAMPLE):
        for index in range(len(run.xcom("pick_new") or ())):
            card = run.xcom("build_card", map_index=index)
            made.update([card["media"]["mediaId"]] if card else ())
    return made


def test_each_file_triggers_a_run_across_a_triggerer_restart(platform: Any) -> None:
    platform.library.store("matching before the watchers started", CONTENT)
    sandbox = platform.library.sandbox
    platform.airflow.connect("media_default", sandbox.base_url, sandbox.api_key)
    wait_for(lambda: all(map(platform.airflow.asset_state, ASSETS)), "the watchers to start")

    stored: dict[str, set[int]] = {"matching": set(), "other": set(), "summer-": set()}
    for number in range(FILES):
        if number == FILES // 2:
            platform.airflow.kill_triggerer()
        if number == FILES * 3 // 4:
            platform.airflow.start_triggerer()
        for kind, ids in stored.items():
            ids.add(platform.library.store(f"{kind} {number}", CONTENT))
        time.sleep(SECONDS_BETWEEN_FILES)

    wait_for(lambda: collected(platform, "watch") >= stored["matching"], "all matching files in runs")
    wait_for(lambda: collected(platform, "watch_others") >= stored["other"], "all other files in runs")
    assert collected(platform, "watch") == stored["matching"]
    assert collected(platform, "watch_others") == stored["other"]
    wait_for(lambda: cards(platform).keys() >= stored["summer-"], "a card of each image")
    assert cards(platform) == Counter(stored["summer-"])


def test_upload_triggers_the_dag_scheduled_on_its_asset(platform: Any, image_path: Path) -> None:
    sandbox = platform.library.sandbox
    platform.airflow.call("DELETE", "connections/media_default")  # of the other test
    platform.airflow.connect("media_default", sandbox.base_url, sandbox.api_key)

    assert platform.airflow.trigger("example_media_assets").wait_for_end() == "success"
    (started,) = wait_for(lambda: platform.airflow.runs("example_media_assets_send"), "the run that the event starts")
    assert started.wait_for_end() == "success"

    (banner,) = platform.library.files()
    expected = {"title": banner["name"], "media": {"mediaId": banner["id"], "height": "TALL"}}
    assert started.xcom("build_message") == expected
    assert banner["size"] == image_path.stat().st_size

"""DAGs that new files and uploads start: each file reaches a run, across the triggerer's death."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.system.helpers.airflow_system import wait_for

if TYPE_CHECKING:
    from pathlib import Path

FILES = 20
A_FILE_EVERY_SECONDS = 0.5
ASSETS = ("watch", "watch_others", "summer_images")
CONTENT = b"\x89PNG\r\n\x1a\n"
EXAMPLE = "example_media_event_driven"


def collected(platform: Any, dag_id: str) -> set[int]:
    """Tell the ids in the triggering events of all runs."""
    return {media_id for run in platform.airflow.runs(dag_id) for media_id in run.xcom("collect") or ()}


def cards(platform: Any) -> Counter[int]:
    """Tell how many cards all runs of the example made of each picture."""
    made: Counter[int] = Counter()
    for run in platform.airflow.runs(EXAMPLE):
        for index in range(len(run.xcom("pick_new") or ())):
            card = run.xcom("build_card", map_index=index)
            made.update([card["media"]["mediaId"]] if card else ())
    return made


def test_each_file_starts_a_run_also_when_the_triggerer_dies(platform: Any) -> None:
    platform.library.store("wanted before the watchers began", CONTENT)
    sandbox = platform.library.sandbox
    platform.airflow.connect("media_default", sandbox.base_url, sandbox.api_key)
    wait_for(lambda: all(map(platform.airflow.asset_state, ASSETS)), "the watchers to begin")

    stored: dict[str, set[int]] = {"wanted": set(), "other": set(), "summer-": set()}
    for number in range(FILES):
        if number == FILES // 2:
            platform.airflow.kill_triggerer()
        if number == FILES * 3 // 4:
            platform.airflow.start_triggerer()
        for kind, ids in stored.items():
            ids.add(platform.library.store(f"{kind} {number}", CONTENT))
        time.sleep(A_FILE_EVERY_SECONDS)

    wait_for(lambda: collected(platform, "watch") >= stored["wanted"], "all wanted files in runs")
    wait_for(lambda: collected(platform, "watch_others") >= stored["other"], "all other files in runs")
    assert collected(platform, "watch") == stored["wanted"]
    assert collected(platform, "watch_others") == stored["other"]
    wait_for(lambda: cards(platform).keys() >= stored["summer-"], "a card of each picture")
    assert cards(platform) == Counter(stored["summer-"])


def test_an_upload_starts_the_dag_that_is_scheduled_on_its_asset(platform: Any, picture: Path) -> None:
    sandbox = platform.library.sandbox
    platform.airflow.call("DELETE", "connections/media_default")  # the other test's
    platform.airflow.connect("media_default", sandbox.base_url, sandbox.api_key)

    assert platform.airflow.trigger("example_media_assets").wait_for_end() == "success"
    (started,) = wait_for(lambda: platform.airflow.runs("example_media_assets_send"), "the run that the event starts")
    assert started.wait_for_end() == "success"

    (banner,) = platform.library.files()
    expected = {"title": banner["name"], "media": {"mediaId": banner["id"], "height": "TALL"}}
    assert started.xcom("build_message") == expected
    assert banner["size"] == picture.stat().st_size

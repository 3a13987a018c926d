"""The link "Open in media library" of running, failed and mapped tasks."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import FrameLocator, Page, expect

from tests.system.helpers.airflow_system import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.helpers.airflow_system import Run

EXAMPLE_MEDIA = Path(__file__).parents[2] / "example_dags" / "media"
AIRFLOW = tuple(map(int, version("apache-airflow").split(".")[:2]))
LINK = "Open in media library"
SYNCED = {0: "link-sync-banner.jpg", 1: "link-sync-pour.mp4"}
"""The file that each mapped sync stores, by map index."""


@pytest.fixture(scope="module")
def go_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the file that the failing tasks wait for."""
    return tmp_path_factory.mktemp("signals") / "go-on"


@pytest.fixture(scope="module")
def run(airflow: Any, go_on: Path) -> Run:
    started: Run = airflow.trigger("link", folder=str(EXAMPLE_MEDIA), go_on=str(go_on))
    return started


def link(airflow: Any, run: Run, task: str, map_index: int = -1) -> str | None:
    path = f"{run._path}/taskInstances/{task}/links"
    links = airflow.call("GET", path, map_index=map_index) or {"extra_links": {}}
    found: str | None = links["extra_links"].get(LINK)
    return found


def open_task(open_page: Any, run: Run, task: str) -> Page:
    page: Page = open_page(f"dags/link/runs/{run._run_id}/tasks/{task}/details")
    return page


def frame(page: Page) -> FrameLocator:
    """Return the Media Library page in Airflow's frame."""
    return page.frame_locator("iframe[title='Media Library']")


def test_link_exists_while_the_task_runs_and_after_it_fails(
    open_page: Callable[..., Page], airflow: Any, run: Run, go_on: Path, take_screenshot: Any
) -> None:
    wait_for(lambda: link(airflow, run, "fails_later"), "the link of the running task")
    assert run.task("fails_later")["state"] == "running"
    for map_index in SYNCED:
        wait_for(lambda index=map_index: link(airflow, run, "sync", index), "the link of the running sync")
    assert {sync["state"] for sync in run.instances("sync")} == {"running"}

    go_on.touch()
    wait_for(lambda: run.task("fails_later")["state"] == "failed", "the task to fail")
    page = open_task(open_page, run, "fails_later")
    button = page.get_by_role("link", name=LINK)
    expect(button).to_be_visible()
    take_screenshot(page, "task-link")
    button.click()

    expect(frame(page).get_by_role("dialog")).to_contain_text("link-cold-brew")


def test_each_mapped_upload_has_a_link(open_page: Callable[..., Page], airflow: Any, run: Run) -> None:
    for map_index, name in enumerate(["card-latte.jpg", "card-tonic.png"]):
        wait_for(lambda index=map_index: link(airflow, run, "cards", index), f"the link of {name}")
        wait_for(lambda index=map_index: run.instances("cards")[index]["state"] == "success", f"the upload of {name}")
        assert run.instances("cards")[map_index]["rendered_map_index"] == name
        page = open_task(open_page, run, f"cards/mapped/{map_index}")
        page.get_by_role("link", name=LINK).click()
        expect(frame(page).get_by_role("dialog")).to_contain_text(name)


def test_each_failed_mapped_sync_links_to_the_library(open_page: Callable[..., Page], run: Run, go_on: Path) -> None:
    go_on.touch()
    wait_for(lambda: {sync["state"] for sync in run.instances("sync")} == {"failed"}, "the syncs to fail")
    for map_index, name in SYNCED.items():
        page = open_task(open_page, run, f"sync/mapped/{map_index}")
        page.get_by_role("link", name=LINK).click()
        expect(frame(page).get_by_label("Connection")).to_have_value("shop")
        expect(frame(page).locator("#files")).to_contain_text(name)
        expect(frame(page).get_by_role("dialog")).to_be_hidden()


def test_get_and_deferred_sensor_have_links(open_page: Callable[..., Page], airflow: Any, run: Run, shop: Any) -> None:
    wait_for(lambda: run.task("wait")["state"] == "deferred", "the sensor to be deferred")
    assert link(airflow, run, "wait") is None
    shop.store("link-late", b"\x89PNG\r\n\x1a\n")
    wait_for(lambda: run.task("wait")["state"] == "success", "the sensor")
    wait_for(lambda: run.task("get")["state"] == "success", "the get")

    for task, name in {"get": "link-banner", "wait": "link-late"}.items():
        page = open_task(open_page, run, task)
        page.get_by_role("link", name=LINK).click()
        expect(frame(page).get_by_role("dialog")).to_contain_text(name)


@pytest.mark.skipif(AIRFLOW < (3, 4), reason="before Airflow 3.4, a tab cannot be limited to some operators")
def test_tab_of_a_task_shows_its_file(open_page: Callable[..., Page], airflow: Any, run: Run) -> None:
    wait_for(lambda: link(airflow, run, "banner"), "the link of the upload")
    wait_for(lambda: link(airflow, run, "cards", 1), "the link of the mapped upload")
    for task, name in {"banner": "link-banner", "cards/mapped/1": "card-tonic.png"}.items():
        page = open_task(open_page, run, task)
        page.get_by_role("link", name="Media", exact=True).click()
        shown = page.frame_locator("iframe[title='Media']")
        expect(shown.get_by_role("dialog")).to_contain_text(name)
        page.reload()
        expect(shown.get_by_role("dialog")).to_contain_text(name)


def test_entry_links_to_the_tasks_that_used_the_file(
    open_page: Callable[..., Page], airflow: Any, run: Run, shop: Any
) -> None:
    wait_for(lambda: link(airflow, run, "banner"), "the link of the upload")
    (banner,) = [item for item in shop.files() if item["name"] == "link-banner"]
    page = open_page(f"plugin/media-library?connection=shop&media={banner['id']}")
    use = frame(page).locator("#uses").get_by_role("link", name="link.banner")
    expect(use).to_be_visible()
    use.click()
    expect(page).to_have_url(re.compile(rf"/dags/link/runs/{quote(run._run_id)}/tasks/banner"))


def test_uses_are_found_quickly_among_100_000_links(
    airflow: Any, run: Run, shop: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_for(lambda: link(airflow, run, "banner"), "the link of the upload")
    (banner,) = [item for item in shop.files() if item["name"] == "link-banner"]
    headers = {"Authorization": f"Bearer {airflow.token('admin')}"}

    def timed(route: str) -> tuple[float, Any]:
        start = time.monotonic()
        response = requests.get(f"{airflow.url}/media-library/{route}", headers=headers, timeout=60)
        return (time.monotonic() - start) * 1000, response.json()

    insert = "INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp)"
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")

    def change(statement: str, rows: Any) -> None:
        with closing(sqlite3.connect(airflow.database, timeout=60)) as database, database:
            database.executemany(statement, rows)

    url = "http://127.0.0.1/plugin/media-library?connection=shop&media="
    rows = (
        (10**6, f"other_{number}", -1, "media_link", "link", "other", json.dumps(f"{url}9{number}"), now)
        for number in range(100_000)
    )
    change(f"{insert} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    try:
        timed(route := f"api/uses/shop?media={banner['id']}")
        milliseconds, uses = timed(route)
        other, _ = timed("api/start")
    finally:
        change("DELETE FROM xcom WHERE dag_run_id = ?", [(10**6,)])
    assert {use["task"] for use in uses} >= {"banner"}
    assert all(use["dag"] == "link" for use in uses)
    with capsys.disabled():
        print(f"\nuses among 100,000 links: {milliseconds:.0f} ms; api/start: {other:.0f} ms")  # noqa: T201
    assert milliseconds < 5000

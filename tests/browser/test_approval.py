"""The approval of a campaign's media: Markdown of ``approval_body`` in Airflow's Required Actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from tests.browser.conftest import load
from tests.system.helpers.airflow_system import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

DAG_ID = "example_media_approval"


def test_a_person_sees_the_media_and_approves_them(
    airflow: Any, open_page: Callable[..., Page], take_screenshot: Any
) -> None:
    run = airflow.trigger(DAG_ID)
    wait_for(lambda: run.instances("approve")[0]["state"] in {"deferred", "awaiting_input"}, "the approval to be due")
    assert run.task("send")["state"] in {None, "scheduled"}

    page = open_page(f"dags/{DAG_ID}/runs/{run._run_id}/tasks/approve/required_actions", height=1400)
    expect(page.get_by_text("Send the summer campaign?").first).to_be_visible()
    table = page.get_by_role("table")
    expect(table).to_contain_text("summer-banner")
    preview = table.get_by_role("img").first
    expect(preview).to_be_visible()
    load(preview)
    take_screenshot(page, "approval")
    page.get_by_role("button", name="Approve").click()

    wait_for(lambda: run.task("send")["state"] == "success", "the send")
    assert len(run.xcom("send")) == 5

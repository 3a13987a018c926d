"""The connection form in Airflow: filled in, saved, and tested with the Test button."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, ViewportSize, expect

if TYPE_CHECKING:
    from collections.abc import Callable

NO_SERVER = 9  # the port "discard", without a server
FORM_SIZE = {"width": 960, "height": 1560}  # fits the form with the extra fields
NOTICE = "[data-scope=toast][data-part=root]"
LIST_SIZE: ViewportSize = {"width": 1160, "height": 720}


@pytest.mark.parametrize(
    ("conn_id", "message"),
    [
        ("good_key", "accepts the key; the library holds 60 files"),
        ("rejected_key", "check the API key in the connection"),
        ("no_server", "no connection to http://127.0.0.1:9"),
    ],
)
def test_connection_is_created_and_tested(
    conn_id: str, message: str, open_page: Callable[..., Page], gallery: Any, take_screenshot: Any
) -> None:
    page = open_page("connections", **FORM_SIZE)
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.locator("[name=connection_id]").fill(conn_id)
    form.get_by_role("combobox").fill("Media Library")
    page.get_by_role("option", name="Media Library").click()
    form.locator("[name=description]").fill("The library of the summer campaign")
    form.locator("[name=host]").fill("http://127.0.0.1")
    port = NO_SERVER if conn_id == "no_server" else urlsplit(gallery.sandbox.base_url).port
    form.locator("[name=port]").fill(str(port))
    form.locator("[name=password]").fill("not-the-key" if conn_id == "rejected_key" else gallery.sandbox.api_key)
    if conn_id == "good_key":
        take_screenshot(form, "connection-form")
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    form.locator("[name=element_timeout]").fill("20")
    form.locator("[name=element_requests_per_second]").fill("10")
    if conn_id == "good_key":
        expect(form.locator("[name=host]")).to_be_hidden()
        take_screenshot(form, "connection-form-extra")
    form.get_by_role("button", name="Save").click()
    expect(form).to_be_hidden()
    page.set_viewport_size(LIST_SIZE)
    page.reload()  # removes the notice about the saved connection

    with page.expect_response("**/connections/test") as response:
        page.get_by_role("row", name=conn_id).get_by_role("button", name="Test Connection").click()

    assert message in response.value.json()["message"]
    assert response.value.json()["status"] is (conn_id == "good_key")
    expect(page.get_by_text(message).first).to_be_in_viewport(ratio=1)
    page.locator(NOTICE).evaluate("it => Promise.all(it.getAnimations().map((each) => each.finished))")
    take_screenshot(page, f"connection-test-{conn_id.replace('_', '-')}")

"""The Media Library page in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.browser.conftest import load

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def files(page: Any) -> Any:
    return page.locator("#files .card:not(.ghost)")


def names(page: Any) -> list[str]:
    expect(page.locator("#files")).not_to_have_attribute("aria-busy", "true")
    found: list[str] = page.locator("#files .name").all_inner_texts()
    return found


def list_once(library: Any, *items: dict[str, Any]) -> None:
    """Return these items when the library is read the next time: one page, and an empty one."""
    for content in (list(items), []):
        library.fail("status", "GET", status=200, body={"content": content, "totalElements": len(items)})


def test_page_is_in_the_browse_menu_and_shows_previews(open_page: Callable[..., Page], take_screenshot: Any) -> None:
    page = open_page("")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Media Library").click()
    frame = page.frame_locator("iframe[title='Media Library']")
    frame.get_by_label("Connection").select_option("gallery")

    expect(files(frame)).to_have_count(48)
    expect(frame.locator("#count")).to_have_text(re.compile(r"^60 files · [0-9.]+ [kM]B$"))
    image = frame.locator(".preview img").first
    video = frame.locator(".preview video").first
    assert image.evaluate("async (it) => { await it.decode(); return it.naturalWidth }") > 0
    expect(video).to_have_js_property("error", None)
    load(video)
    take_screenshot(page, "media-library-page")


def test_search_filter_order_and_pages(open_page: Callable[..., Page]) -> None:
    page = open_page("media-library/?connection=gallery")
    expect(files(page)).to_have_count(48)
    page.get_by_role("button", name="Next", exact=True).click()
    expect(files(page)).to_have_count(12)
    expect(page.locator("#position")).to_have_text("Page 2 of 2")

    page.get_by_label("Search by name or ID").fill("LATTE summer")
    expect(page.locator("#count")).to_have_text(re.compile(r"^12 of 60 files · [0-9.]+ [kM]B$"))
    page.get_by_label("Order").select_option("oldest")
    expect(page.locator("#files .name").first).to_have_text("summer-card-latte-02")
    page.get_by_label("Search by name or ID").fill("")
    page.locator("#type").select_option("video")
    expect(page.locator("#count")).to_have_text(re.compile(r"^12 of 60 files · [0-9.]+ [kM]B$"))
    page.get_by_label("Order").select_option("name")
    expect(page.locator("#files .name").first).to_have_text("summer-pour-04")
    assert names(page) == sorted(names(page))
    page.reload()  # the URL holds the filters
    expect(page.locator("#count")).to_have_text(re.compile(r"^12 of 60 files · [0-9.]+ [kM]B$"))
    page.get_by_label("Search by name or ID").fill("no such name")
    expect(page.locator("#empty")).to_have_text("No matching files. Clear the filters.")


def test_details_show_all_fields_and_one_click_copies_the_id(open_page: Callable[..., Page], gallery: Any) -> None:
    (banner,) = [item for item in gallery.files() if item["name"] == "summer-banner-55"]
    page = open_page("media-library/?connection=gallery&search=summer-banner-55")
    page.locator(".card .copy").click()
    expect(page.locator("body > .toast")).to_have_text(f"Copied ID: {banner['id']}")
    assert page.evaluate("navigator.clipboard.readText()") == str(banner["id"])

    page.get_by_role("button", name="Show summer-banner-55").click()
    properties = page.locator("#properties")
    for value in (str(banner["id"]), "image/jpeg", "81,674 bytes", "1440 \u00d7 720", banner["url"]):
        expect(properties).to_contain_text(value)
    expect(properties.get_by_role("link")).to_have_attribute("href", banner["url"])
    expect(properties.locator("div", has_text="Created")).to_contain_text("2026")


def test_id_beyond_the_exact_integers_of_javascript_is_kept(
    open_page: Callable[..., Page], shop: Any, airflow: Any
) -> None:
    airflow.connect("large_ids", shop.sandbox.base_url, shop.sandbox.api_key)
    large = 2**53 + 1
    list_once(shop, {"id": large, "name": "large"})
    page = open_page("media-library/?connection=large_ids")
    page.locator(".card .copy").click()
    expect(page.locator("body > .toast")).to_have_text(f"Copied ID: {large}")
    assert page.evaluate("navigator.clipboard.readText()") == str(large)
    with page.expect_response("**/api/entry/**") as response:
        page.locator(".open").click()
    expect(page.locator("#properties div", has=page.locator("dt", has_text="ID"))).to_contain_text(str(large))
    assert response.value.url.endswith(f"?media={large}")


def test_details_keep_fields_that_only_the_list_has(open_page: Callable[..., Page], shop: Any, airflow: Any) -> None:
    airflow.connect("scant", shop.sandbox.base_url, shop.sandbox.api_key)
    url = f"{shop.sandbox.base_url}/files/7/listed.png"
    list_once(shop, {"id": 7, "name": "listed", "mimeType": "image/png", "size": 4711, "url": url})
    entry = {"id": 7, "name": "listed", "createdAt": "2026-11-01T10:00:00Z"}
    shop.fail("status", "GET", status=200, body=entry)
    page = open_page("media-library/?connection=scant")
    page.locator(".open").click()

    properties = page.locator("#properties")
    expect(properties.locator("div", has_text="Created")).to_contain_text("2026")
    for value in ("image/png", "4,711 bytes", url):
        expect(properties).to_contain_text(value)


def test_link_opens_a_file_on_another_page_and_reports_a_deleted_one(
    open_page: Callable[..., Page], gallery: Any
) -> None:
    first = gallery.files()[0]
    page = open_page(f"media-library/?connection=gallery&media={first['id']}")
    expect(page.get_by_role("dialog")).to_contain_text(first["name"])

    page = open_page("media-library/?connection=gallery&media=4711")
    expect(page.get_by_role("alert")).to_contain_text("has no file 4711. It may have been deleted")
    expect(files(page)).to_have_count(48)


def test_names_are_plain_text_and_only_http_urls_are_links(
    open_page: Callable[..., Page], shop: Any, airflow: Any
) -> None:
    airflow.connect("hostile", shop.sandbox.base_url, shop.sandbox.api_key)
    hostile = {
        "id": 1,
        "name": SCRIPT,
        "description": SCRIPT,
        "mimeType": "image/png",
        "size": 5,
        "url": "javascript:document.title='owned'",
        "createdAt": "2026-11-01T10:00:00Z",
    }
    list_once(shop, hostile)
    page = open_page("media-library/?connection=hostile")
    expect(page.locator(".name")).to_have_text(SCRIPT)
    page.locator(".open").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(SCRIPT)
    expect(dialog).to_contain_text("javascript:document.title")

    assert dialog.get_by_role("link").count() == 0
    assert page.locator("main img, main script, dialog img, dialog script").count() == 0
    page.wait_for_timeout(300)  # for a script that must not run
    assert page.title() == "Media Library"


def test_file_without_a_preview_has_an_icon(open_page: Callable[..., Page], shop: Any, airflow: Any) -> None:
    airflow.connect("gone", shop.sandbox.base_url, shop.sandbox.api_key)
    gone = {"mimeType": "image/png", "size": 5, "url": f"{shop.sandbox.base_url}/files/4711/gone.png"}
    list_once(shop, {"id": 2, "name": "gone", **gone}, {"id": 1, "name": "video", **gone, "mimeType": "video/mp4"})
    page = open_page("media-library/?connection=gone")

    expect(files(page)).to_have_count(2)
    expect(page.locator(".preview > svg")).to_have_count(2)
    expect(page.locator(".preview > img, .preview > video")).to_have_count(0)


def test_no_preview_is_loaded_from_airflow(open_page: Callable[..., Page], shop: Any, airflow: Any) -> None:
    """The browser would send the user's cookies to any URL on Airflow's host that a library contains."""
    airflow.connect("inward", shop.sandbox.base_url, shop.sandbox.api_key)
    host = airflow.url.removeprefix("http://")
    urls = [f"http://{host}/api/v2/monitor/health", f"HTTPS://somebody@{host}"]  # browsers may make https of http
    known = {"size": 5, "createdAt": "2026-11-01T10:00:00Z"}
    inward = [{**known, "mimeType": kind, "url": url} for url in urls for kind in ("image/png", "video/mp4")]
    list_once(shop, *({"id": number, "name": f"inward {number}", **each} for number, each in enumerate(inward)))
    page = open_page("")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.resource_type))
    page.goto(f"{airflow.url}/media-library/?connection=inward")

    expect(files(page)).to_have_count(len(inward))
    for number in range(len(inward)):
        page.get_by_role("button", name=f"Show inward {number}").click()
        expect(page.locator("#stage > svg")).to_have_count(1)
        page.keyboard.press("Escape")
    page.wait_for_timeout(300)  # for a script that must not run
    assert page.locator("img, video").count() == 0
    assert {"image", "media"}.isdisjoint(requested)


def test_no_preview_is_loaded_from_another_port_of_airflows_host(
    open_page: Callable[..., Page], gallery: Any, shop: Any, airflow: Any
) -> None:
    """Browsers send a host's cookies to all of its ports."""
    airflow.connect("beside", shop.sandbox.base_url, shop.sandbox.api_key)
    image = gallery.files()[0]
    name = "airflow.localhost"  # browsers resolve it to this machine
    beside = image["url"].replace("127.0.0.1", name)
    assert urlsplit(beside).hostname == name
    list_once(shop, {**image, "name": "beside", "url": beside}, {**image, "id": 0, "name": "elsewhere"})
    page = open_page("")
    token = {"name": "_token", "value": airflow.token("admin"), "url": airflow.url.replace("127.0.0.1", name)}
    page.context.add_cookies([token])
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{token['url']}/media-library/?connection=beside")

    expect(files(page)).to_have_count(2)
    load(page.locator(".preview img").first)
    assert [beside in requested, image["url"] in requested] == [False, True]
    assert page.locator(".preview img").count() == 1


def test_media_api_error_is_shown_and_can_be_retried(open_page: Callable[..., Page], shop: Any, airflow: Any) -> None:
    airflow.connect("broken", shop.sandbox.base_url, shop.sandbox.api_key)
    airflow.connect("wrong_key", shop.sandbox.base_url, "not-the-key")
    shop.fail("status", "GET", status=503, times=2)
    page = open_page("media-library/?connection=broken")
    expect(page.get_by_role("alert")).to_contain_text("HTTP 503")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_be_hidden()

    page.get_by_label("Connection").select_option("wrong_key")
    expect(page.get_by_role("alert")).to_contain_text("check the API key in the connection")


def test_link_opens_its_file_when_the_failed_request_is_retried(
    open_page: Callable[..., Page], shop: Any, airflow: Any
) -> None:
    airflow.connect("shaky", shop.sandbox.base_url, shop.sandbox.api_key)
    media_id = str(shop.store("shaky", b"\x89PNG\r\n\x1a\n"))
    shop.fail("status", "GET", status=503, times=100)
    page = open_page(f"media-library/?connection=shaky&media={media_id}")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("HTTP 503")
    page.wait_for_load_state("networkidle")  # the request for the single file has failed, too
    shop._control("DELETE", "faults")
    assert parse_qs(urlsplit(page.url).query)["media"] == [media_id]
    alert.get_by_role("button", name="Try again").click()

    expect(page.get_by_role("dialog")).to_contain_text("shaky")
    expect(alert).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("[?&]media="))


def test_page_is_usable_by_keyboard(open_page: Callable[..., Page]) -> None:
    page = open_page("media-library/?connection=gallery&search=banner&order=oldest")
    expect(files(page)).to_have_count(12)
    page.keyboard.press("/")
    expect(page.get_by_label("Search by name or ID")).to_be_focused()

    def focused(key: str) -> str:
        page.keyboard.press(key)
        name: str = page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.id")
        return name

    page.get_by_label("Layout").focus()
    assert [focused("Tab") for _ in range(3)] == ["Show summer-banner-00", "Copy ID 1", "Select summer-banner-00"]
    assert [focused(key) for key in ("ArrowRight", "ArrowRight", "ArrowDown", "End", "Home", "ArrowRight")] == [
        f"Show summer-banner-{number:02d}" for number in (5, 10, 35, 55, 0, 5)
    ]
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("summer-banner-05")
    expect(page.get_by_role("heading", name="summer-banner-05")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(dialog).to_contain_text("summer-banner-10")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Show summer-banner-10")).to_be_focused()


def background(page: Page) -> str:
    color: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return color


def test_page_is_dark_if_the_system_or_airflow_is_dark(open_page: Callable[..., Page], take_screenshot: Any) -> None:
    dark = open_page("media-library/?connection=gallery", dark=True, height=760)
    light = open_page("media-library/?connection=gallery")
    expect(files(dark)).to_have_count(48)
    assert background(dark) != background(light)
    dark.locator(".card", has_text="summer-card-cold-brew-56").locator(".open").click()
    load(dark.locator("#stage img"))
    expect(dark.locator("#uses")).not_to_contain_text("Loading")
    take_screenshot(dark, "media-library-entry-dark")

    light.evaluate("localStorage.setItem('theme', 'dark')")
    light.reload()
    assert background(light) == background(dark)


def test_page_fits_a_narrow_window(open_page: Callable[..., Page], take_screenshot: Any) -> None:
    page = open_page("media-library/?connection=gallery", width=390, height=760)
    expect(files(page)).to_have_count(48)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    load(page.locator(".preview img").first)
    take_screenshot(page, "media-library-narrow")
    page.locator(".open").first.click()
    expect(page.get_by_role("button", name="Close")).to_be_in_viewport()
    assert page.locator("#properties").evaluate("it => it.scrollWidth <= it.clientWidth")

"""What the Media Library page offers beyond a list: channels, uses, selection, filters, keyboard, Airflow's design.

Tests that do not need Airflow open the same page on the sandbox.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contract.helpers.sandbox_library import SandboxLibrary

FILES = "#files .card:not(.ghost)"
MANY = 10_000
CAMPAIGNS = itertools.count(1)


def image(color: tuple[int, ...] = (200, 30, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA" if len(color) > 3 else "RGB", (30, 20), color).save(buffer, "PNG")
    return buffer.getvalue()


def listed(media_id: int, name: str, **fields: Any) -> dict[str, Any]:
    known = {"mimeType": "image/png", "size": 1000 + media_id, "url": "http://media.invalid/a.png"}
    return {"id": media_id, "name": name, "createdAt": "2026-11-01T10:00:00Z", **known, **fields}


def names(page: Any) -> list[str]:
    found: list[str] = page.locator("#files .name").all_inner_texts()
    return found


def clipboard(page: Page) -> str:
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


@pytest.fixture
def sandbox() -> Iterator[SandboxLibrary]:
    """An empty sandbox."""
    from airflow_provider_media.sandbox.server import run_in_thread
    from tests.contract.helpers.sandbox_library import SandboxLibrary

    with run_in_thread() as running:
        yield SandboxLibrary(running)


@pytest.fixture
def open_files(airflow: Any, shop: Any, open_page: Any) -> Callable[..., Page]:
    """Open the page in Airflow with a library of these files."""

    def open_files(*items: dict[str, Any], **options: Any) -> Page:
        conn_id = f"campaign_{next(CAMPAIGNS)}"
        airflow.connect(conn_id, shop.sandbox.base_url, shop.sandbox.api_key)
        for content in (list(items), []):
            shop.fail("status", "GET", status=200, body={"content": content, "totalElements": len(items)})
        page: Page = open_page(f"media-library/?connection={conn_id}", **options)
        expect(page.locator(FILES)).to_have_count(len(items))
        return page

    return open_files


# --- defects ---


def in_frame(page: Page) -> Any:
    return page.frame_locator("iframe[title='Media Library']")


def test_reload_and_back_in_airflows_frame_keep_the_view(open_page: Callable[..., Page], gallery: Any) -> None:
    page = open_page("plugin/media-library?connection=gallery")
    frame = in_frame(page)
    expect(frame.locator(FILES)).to_have_count(48)
    frame.get_by_label("Search by name or ID").fill("summer-banner-5")
    expect(frame.locator(FILES)).to_have_count(2)
    frame.locator(".open").first.click()
    expect(page).to_have_url(re.compile(r"connection=gallery.*search=summer-banner-5.*media=\d+"))
    url = page.url
    page.reload()
    expect(frame.get_by_role("dialog")).to_contain_text("summer-banner-55")
    expect(frame.get_by_label("Search by name or ID")).to_have_value("summer-banner-5")
    assert page.url == url

    page.get_by_role("link", name="Dags").first.click()
    expect(page).not_to_have_url(url)
    page.go_back()
    expect(frame.get_by_role("dialog")).to_contain_text("summer-banner-55")


def test_back_closes_an_open_entry(gallery: Any, open_url: Callable[..., Page]) -> None:
    page = open_url(gallery.sandbox.base_url)
    page.locator(".open").nth(1).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.go_back()
    expect(dialog).to_be_hidden()
    expect(page).not_to_have_url(re.compile("media="))
    expect(page.locator(".open").nth(2)).to_be_focused()
    page.go_forward()
    expect(dialog).to_be_visible()


def test_slow_library_is_shown(open_page: Callable[..., Page], shop: Any, airflow: Any) -> None:
    airflow.connect("slow", shop.sandbox.base_url, shop.sandbox.api_key)
    shop.store("slow", image())
    shop.fail("slow", "GET", delay_seconds=8)
    page = open_page("media-library/?connection=slow&search=slow")
    expect(page.locator(FILES).first).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_failed_refresh_keeps_the_old_files_dimmed(open_files: Any, shop: Any) -> None:
    page = open_files(listed(1, "kept"))
    time.sleep(2)  # a younger read is not repeated
    shop.fail("status", "GET", status=503, times=2)
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("HTTP 503")
    assert names(page) == ["kept"]
    expect(page.locator("#files")).to_have_class(re.compile("stale"))


def test_expired_session_shows_a_sign_in_link(open_page: Callable[..., Page]) -> None:
    page = open_page("plugin/media-library?connection=gallery")
    frame = in_frame(page)
    expect(frame.locator(FILES)).to_have_count(48)
    page.context.clear_cookies()
    frame.get_by_role("button", name="Refresh").click()
    alert = frame.get_by_role("alert")
    expect(alert).to_contain_text("Your session has ended.")
    expect(frame.locator(FILES)).to_have_count(48)
    alert.get_by_role("link", name="Sign in to Airflow").click()
    expect(page).to_have_url(re.compile("/auth/login"))


def test_id_comes_first_and_the_confirmation_is_in_the_dialog(gallery: Any, open_url: Callable[..., Page]) -> None:
    page = open_url(f"{gallery.sandbox.base_url}/?search=7")
    expect(page.locator(FILES).first).to_have_attribute("data-id", "7")
    assert page.locator(FILES).count() > 1
    page.locator(".open").first.click()
    page.get_by_role("dialog").get_by_role("button", name="Copy ID 7").click()
    expect(page.get_by_role("dialog").get_by_text("Copied ID: 7")).to_be_visible()


# --- access ---


@pytest.mark.parametrize(("user", "words"), [("viewer", "can read on Connections"), (None, "Sign in to Airflow")])
def test_denied_page_is_styled_and_accessible(
    user: str | None, words: str, open_page: Callable[..., Page], violations: Any
) -> None:
    page = open_page("media-library/?connection=gallery", user=user)
    expect(page.get_by_role("main")).to_contain_text(words)
    assert page.get_by_role("main").evaluate("it => getComputedStyle(it).borderTopWidth") == "1px"
    assert violations(page) == []


# --- channels and duplicates ---


def test_chips_show_problems_and_filters_select_them(
    open_files: Any, gallery: Any, violations: Any, take_screenshot: Any
) -> None:
    urls = [item["url"] for item in gallery.files()]
    page = open_files(
        listed(1, "animation", mimeType="image/gif", width=960, height=720, url=urls[1]),
        listed(2, "heavy", size=12_100_000, width=1440, height=720, url=urls[0]),
        listed(3, "tall", width=1080, height=1920, url=urls[2]),
        listed(4, "fine", width=1440, height=720, url=urls[0]),
        listed(5, "fine", width=1440, height=720, size=1003, url=urls[3]),
        width=1600,
        height=620,
    )

    def chips(name: str) -> list[str]:
        texts: list[str] = page.locator(".card", has_text=name).first.locator(".chip").all_inner_texts()
        return texts

    assert chips("animation") == ["WhatsApp: GIF"]
    assert chips("heavy") == ["WhatsApp: 12.1 MB", "RCS: 12.1 MB"]
    assert chips("tall") == ["RCS: 1080x1920 fits no card", "same size and type \u00d72"]
    assert set(chips("fine")) <= {"same name \u00d72", "same size and type \u00d72"}
    colors = page.locator(".chip.error, .chip.warning").evaluate_all(
        "chips => chips.map(it => getComputedStyle(it).backgroundColor.match(/\\d+/g).map(Number))"
    )
    assert all(red >= green for red, green, _ in colors)
    show = page.locator("#show")
    options = [
        "All files",
        "Problem for WhatsApp (2)",
        "Problem for RCS (2)",
        "Same name (2)",
        "Same size and type (2)",
    ]
    assert show.locator("option").all_inner_texts() == options
    show.select_option("problem-whatsapp")
    assert sorted(names(page)) == ["animation", "heavy"]
    show.select_option("")
    page.get_by_label("Layout").select_option("list")
    page.get_by_label("Select tall").check()
    load(page.locator(".card img").first)
    take_screenshot(page, "media-library-list")
    page.get_by_label("Layout").select_option("grid")
    show.select_option("problem-rcs")
    assert sorted(names(page)) == ["heavy", "tall"]
    show.select_option("same-name")
    assert names(page) == ["fine", "fine"]
    show.select_option("same-content")
    assert sorted(names(page)) == ["fine", "tall"]
    show.select_option("")
    page.get_by_role("button", name="Show tall").click()
    expect(page.locator("#properties")).to_contain_text("RCS: 1080x1920 fits no card; recommended: 1440x720")
    assert violations(page) == []


# --- selection ---


def test_selected_files_are_copied_in_each_format(sandbox: Any, open_url: Callable[..., Page]) -> None:
    for name in ("one", "two"):
        sandbox.store(name, image())
    sandbox.store("clip", b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00mp42")
    page = open_url(f"{sandbox.sandbox.base_url}/?order=oldest")
    for name in ("one", "two", "clip"):
        page.get_by_label(f"Select {name}").check()
    bar = page.get_by_role("region", name="Selected files")
    expect(bar).to_contain_text("3 files selected")

    def copied(form: str) -> str:
        bar.get_by_label("Copy as").select_option(form)
        bar.get_by_role("button", name="Copy", exact=True).click()
        return clipboard(page)

    assert copied("ids") == "1\n2\n3"
    expect(page.locator("body > .toast")).to_have_text("Copied IDs, one per line of 3 files")
    assert copied("python") == "[1, 2, 3]"
    cards = [
        {"title": name, "media": {"mediaId": number, "height": "MEDIUM"}}
        for number, name in enumerate(["one", "two", "clip"], 1)
    ]
    assert json.loads(copied("rcs")) == {"carousel": {"cardWidth": "MEDIUM", "cards": cards}}
    assert json.loads(copied("whatsapp")) == [
        {"type": "image", "image": {"id": 1}},
        {"type": "image", "image": {"id": 2}},
        {"type": "video", "video": {"id": 3}},
    ]
    bar.get_by_role("button", name="Clear selection").click()
    expect(bar).to_be_hidden()
    assert page.locator(".select:checked").count() == 0
    page.get_by_role("button", name="Show two").click()
    page.get_by_role("button", name="Copy operator code").click()
    expect(page.locator("#details .toast")).to_contain_text("Copied operator code")
    assert clipboard(page) == 'MediaGetOperator(task_id="get_media", media_id=2, media_conn_id="sandbox")'


# --- filters, sizes, large libraries ---


def test_dates_folders_and_bytes(open_files: Any) -> None:
    page = open_files(
        listed(1, "may", createdAt="2026-05-10T23:30:00Z", folderId=7, size=1_000_000),
        listed(2, "june", createdAt="2026-06-10T10:00:00Z", folderId=8, size=2_000_000),
        listed(3, "july", createdAt="2026-07-10T10:00:00Z", size=500_000),
    )
    expect(page.locator("#count")).to_have_text("3 files · 3.5 MB")
    expect(page.locator(".card", has_text="may").locator(".about")).to_contain_text("2026-05-10 23:30")
    page.get_by_label("Created from").fill("2026-05-11")
    expect(page.locator("#count")).to_have_text("2 of 3 files · 2.5 MB")
    page.get_by_label("Created until").fill("2026-06-10")
    assert names(page) == ["june"]
    page.get_by_label("Created until").fill("")
    page.get_by_label("Created from").fill("")
    page.get_by_label("Folder").select_option("7")
    assert names(page) == ["may"]


def test_list_has_20_rows(gallery: Any, open_url: Callable[..., Page], violations: Any) -> None:
    page = open_url(gallery.sandbox.base_url)
    page.get_by_label("Layout").select_option("list")
    expect(page.locator(FILES)).to_have_count(20)
    expect(page.locator("#position")).to_have_text("Page 1 of 3")
    tops = page.locator(FILES).evaluate_all("cards => new Set(cards.map(it => it.offsetTop)).size")
    assert tops == 20
    assert violations(page) == []
    page.reload()
    expect(page.locator(FILES)).to_have_count(20)


def test_large_originals_are_loaded_only_on_request(open_files: Any, gallery: Any) -> None:
    url = gallery.files()[0]["url"]
    page = open_files(listed(1, "large", size=3_100_000, url=url), listed(2, "small", url=url))
    large = page.locator(".card", has_text="large")
    expect(page.locator(".card", has_text="small").locator("img")).to_have_count(1)
    expect(large.locator("img")).to_have_count(0)
    large.get_by_role("button", name="Show the image large").click()
    expect(large.locator("img")).to_have_count(1)


@pytest.fixture
def large_api(gallery: Any) -> Iterator[str]:
    """A Media API with 10,000 files; each page of the list after the first takes 0.2 s."""
    urls = [item["url"] for item in gallery.files() if item["mimeType"] == "image/jpeg"]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            start = int(query["page"][0]) * (limit := int(query["limit"][0]))
            if start:
                time.sleep(0.2)
            files = [
                listed(MANY - number, f"campaign {number % 97} file {number}", url=urls[number % len(urls)])
                for number in range(start, min(start + limit, MANY))
            ]
            body = json.dumps({"content": files, "totalElements": MANY}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_library_of_10_000_files_is_shown_while_it_is_read(
    open_page: Callable[..., Page], airflow: Any, large_api: str, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.connect("large", large_api, "a-key")
    airflow.connect("large_again", large_api, "a-key")
    page = open_page("media-library/?connection=large&search=nothing")  # the browser's caches are warm
    expect(page.locator("#count")).to_contain_text("0 of 10,000 files")
    page.goto(f"{airflow.url}/media-library/?connection=large_again")
    load(page.locator(".preview img").first)
    images = "performance.getEntriesByType('resource').filter((it) => it.initiatorType === 'img')"
    first_image = page.evaluate(f"Math.min(...{images}.map((it) => it.responseEnd))")
    expect(page.locator("#count")).to_contain_text(re.compile("[1-9],000 of 10,000 files read so far"))
    expect(page.locator("#count")).to_have_text(re.compile("^10,000 files"))

    searched = page.evaluate(
        """async () => {
          const field = document.getElementById("search");
          const count = document.getElementById("count");
          const start = performance.now();
          field.value = "campaign 42";
          field.dispatchEvent(new Event("input"));
          await new Promise((done) => new MutationObserver(done).observe(count, { childList: true }));
          return performance.now() - start;
        }"""
    )
    expect(page.locator("#count")).to_contain_text("of 10,000 files")
    with capsys.disabled():
        print(f"\n10,000 files: first image after {first_image / 1000:.2f} s, search in {searched:.0f} ms")  # noqa: T201
    assert first_image < 10_000
    assert searched < 1000


# --- Airflow's design ---


def test_frame_follows_airflows_colors_and_dark_mode(open_page: Callable[..., Page], violations: Any) -> None:
    page = open_page("plugin/media-library?connection=gallery")
    frame = in_frame(page)
    expect(frame.locator(FILES)).to_have_count(48)

    def colors() -> tuple[str, str]:
        style = "getComputedStyle(document.body)"
        inner: str = page.frames[1].evaluate(f"{style}.color")
        outer: str = page.evaluate(f"{style}.color")
        return inner, outer

    light = colors()
    assert light[0] == light[1]
    assert violations(page.frames[1]) == []
    page.evaluate("document.documentElement.classList.replace('light', 'dark')")
    page.wait_for_function(
        "light => getComputedStyle(document.querySelector('iframe').contentDocument.body).color !== light", arg=light[0]
    )
    dark = colors()
    assert dark[0] == dark[1]
    assert violations(page.frames[1]) == []


def test_dates_follow_airflows_time_zone(open_page: Callable[..., Page]) -> None:
    page = open_page("media-library/?connection=gallery", zone="America/New_York")
    about = page.locator(".about").first
    expect(about).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"))
    local = about.inner_text()
    page.evaluate("localStorage.setItem('timezone', JSON.stringify('Asia/Tokyo'))")
    page.reload()
    expect(about).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"))
    assert about.inner_text() != local
    page.locator(".open").first.click()
    expect(page.locator("#properties")).to_contain_text("Asia/Tokyo")


def test_previews_show_transparency_direction_and_reasons(sandbox: Any, open_url: Callable[..., Page]) -> None:
    sandbox.store("מבצע קיץ", image((200, 30, 30, 90)))
    sandbox.store("broken", b"\x89PNG\r\n\x1a\n")
    page = open_url(sandbox.sandbox.base_url)
    right_to_left = page.locator(".name", has_text="מבצע")
    assert right_to_left.evaluate("it => getComputedStyle(it).direction") == "rtl"
    shown = page.locator(".card", has_text="מבצע").locator("img")
    assert "conic-gradient" in shown.evaluate("it => getComputedStyle(it).backgroundImage")
    page.get_by_role("button", name="Show broken").click()
    expect(page.locator("#stage")).to_contain_text("Your browser cannot load or show this image. Open file")


def test_video_has_its_controls_on_the_video(gallery: Any, open_url: Callable[..., Page]) -> None:
    page = open_url(f"{gallery.sandbox.base_url}/?search=pour")
    page.locator(".open").first.click()
    video = page.locator("#stage video")
    expect(video).to_have_js_property("controls", True)
    load(video)
    ratio = video.evaluate("it => it.offsetWidth / it.offsetHeight - it.videoWidth / it.videoHeight")
    assert abs(ratio) < 0.05


# --- accessibility ---


def test_all_states_are_accessible(
    gallery: Any, open_url: Callable[..., Page], violations: Any, take_screenshot: Any
) -> None:
    for dark in (False, True):
        for width in (1280, 390):
            page = open_url(gallery.sandbox.base_url, dark=dark, width=width)
            expect(page.locator(FILES)).to_have_count(48)
            assert violations(page) == []
            if width > 1000 and not dark:
                take_screenshot(page, "sandbox-page")
            page.get_by_label("Select summer-pour-59").check()
            assert violations(page) == []
            page.get_by_role("button", name="Show summer-pour-59").click()
            expect(page.get_by_role("dialog")).to_be_visible()
            assert violations(page) == []
            page.keyboard.press("Escape")
            page.get_by_label("Search by name or ID").fill("no such name")
            expect(page.locator("#empty")).to_be_visible()
            assert violations(page) == []


def test_error_state_is_accessible(open_page: Callable[..., Page], airflow: Any, violations: Any) -> None:
    airflow.connect("unreachable", "http://127.0.0.1:9", "a-key")
    page = open_page("media-library/?connection=unreachable")
    expect(page.get_by_role("alert")).to_contain_text("no connection to http://127.0.0.1:9")
    assert violations(page) == []


# --- the sandbox ---


def test_sandbox_shows_the_same_page_and_its_upload_command(
    sandbox: Any, open_url: Callable[..., Page], violations: Any
) -> None:
    page = open_url(sandbox.sandbox.base_url)
    expect(page.get_by_role("heading", name="Media Library sandbox")).to_be_visible()
    expect(page.get_by_label("Connection")).to_be_hidden()
    expect(page.locator("#empty")).to_contain_text('curl -H "X-Api-Key:')
    assert violations(page) == []
    sandbox.store("first", image())
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator(FILES)).to_have_count(1)
    load(page.locator(".preview img").first)
    page.locator(".open").click()
    expect(page.get_by_role("dialog")).not_to_contain_text("Used by")

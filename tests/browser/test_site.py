"""The documentation site: every page on a phone, copy buttons, search, and the list of published versions."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.helpers.doc_samples import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

publish = runpy.run_path(str(ROOT / "tools" / "publish_docs.py"))["publish"]

PHONE = {"width": 390, "height": 840}
CURRENT, OTHER = "2.0.0", "1.0.0"
ONLY_IN_CURRENT = "docs/guides/recipes.html"


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serve a folder on 127.0.0.1, and return its URL."""
    servers = []

    def serve(folder: Path) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), partial(SilentHandler, directory=str(folder))))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def site() -> Path:
    """Build the site like ``make docs``, which rebuilds only what changed."""
    command = ["sphinx", "--builder", "html", "--conf-dir", "docs", "--doctree-dir", "build/doctrees", "--quiet"]
    subprocess.run([sys.executable, "-m", *command, ".", "build/site"], cwd=ROOT, check=True)
    return ROOT / "build" / "site"


@pytest.fixture(scope="module")
def published(site: Path, serve: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of three published versions; the older release has one page less."""
    folder = tmp_path_factory.mktemp("published")
    copy = shutil.copytree(site, folder / "site")
    options = copy / "_static" / "documentation_options.js"
    built = options.read_text()
    for version in (CURRENT, "2.1.0rc1", OTHER):
        options.write_text(re.sub(r"(?<=VERSION: ').+(?=')", version, built))
        publish(copy, folder / "target")
    (folder / "target" / OTHER / ONLY_IN_CURRENT).unlink()
    return serve(folder / "target")


def versions(page: Page) -> Any:
    return page.get_by_label("Version")


def test_versions_are_listed_on_published_site(published: str, open_url: Callable[..., Page]) -> None:
    page = open_url(f"{published}/")

    expect(page).to_have_url(f"{published}/{CURRENT}/docs/index.html")
    expect(versions(page)).to_have_value(CURRENT)
    assert versions(page).locator("option").all_inner_texts() == [
        "2.1.0rc1 (pre-release)",
        "2.0.0 (latest)",
        "1.0.0",
    ]


def test_version_keeps_the_page_and_section(published: str, open_url: Callable[..., Page]) -> None:
    page = open_url(f"{published}/{CURRENT}/docs/reference/versions.html#minimum-versions")

    versions(page).select_option(OTHER)

    expect(page).to_have_url(f"{published}/{OTHER}/docs/reference/versions.html#minimum-versions")
    expect(versions(page)).to_have_value(OTHER)


def test_version_without_the_page_opens_its_index(published: str, open_url: Callable[..., Page]) -> None:
    page = open_url(f"{published}/{CURRENT}/{ONLY_IN_CURRENT}")

    versions(page).select_option(OTHER)
    expect(page).to_have_url(f"{published}/{OTHER}/docs/index.html")
    page.go_back()

    expect(versions(page)).to_have_value(CURRENT)


def test_version_is_chosen_with_the_keyboard(published: str, open_url: Callable[..., Page]) -> None:
    page = open_url(f"{published}/{CURRENT}/docs/tutorial.html")
    versions(page).focus()

    # The first key opens the list.
    for key in ("ArrowUp", "ArrowDown", "Enter"):
        page.keyboard.press(key)

    expect(page).to_have_url(f"{published}/{OTHER}/docs/tutorial.html")


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_local_site_has_search_but_no_versions(
    scheme: str, site: Path, serve: Callable[[Path], str], open_url: Callable[..., Page]
) -> None:
    url = serve(site) if scheme == "http" else site.as_uri()
    page = open_url(f"{url}/docs/guides/upload.html")
    expect(versions(page)).to_be_hidden()

    page.get_by_role("textbox", name="Search").fill("cleanup")
    page.keyboard.press("Enter")

    expect(page.locator("#search-results li a").first).to_be_visible()


def test_copy_button_copies_the_commands_only(published: str, open_url: Callable[..., Page]) -> None:
    page = open_url(f"{published}/{CURRENT}/README.html")
    block = page.locator(".highlight-console").first

    block.hover()
    block.get_by_role("button", name="Copy").click()

    expect(block.get_by_role("button")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied
    assert "$ " not in copied


def test_no_page_is_wider_than_the_window(site: Path, open_url: Callable[..., Page]) -> None:
    page = open_url(site.as_uri() + "/search.html", **PHONE)
    too_wide = []
    for path in sorted(set(site.rglob("*.html")) - {site / "index.html"}):  # which redirects
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            too_wide.append(path.relative_to(site))

    assert too_wide == []

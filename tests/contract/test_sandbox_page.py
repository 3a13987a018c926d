"""The sandbox's library page."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
import requests
from PIL import Image

from airflow_provider_media.sandbox.pages import human_size
from airflow_provider_media.sandbox.server import RunningSandbox, run_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

MP4 = b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00mp42"


class Page(HTMLParser):
    """Parses a page into its tags, in order, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    with run_in_thread() as running:
        yield running


def upload(sandbox: RunningSandbox, name: str, content: bytes | None = None, **parts: str) -> None:
    if content is None:
        buffer = io.BytesIO()
        Image.new("RGB", (30, 20)).save(buffer, "PNG")
        content = buffer.getvalue()
    headers = {"X-Api-Key": sandbox.api_key}
    data = {"name": name, **parts}
    response = requests.post(sandbox.media_url, headers=headers, files={"file": content}, data=data, timeout=10)
    assert response.status_code == 201


def open_page(sandbox: RunningSandbox, query: str = "") -> Page:
    response = requests.get(f"{sandbox.base_url}/{query}", timeout=10)
    assert response.status_code == 200
    return Page(response.text)


def test_empty_library_shows_an_upload_command(sandbox: RunningSandbox) -> None:
    page = open_page(sandbox)
    assert "0 files · 0 B" in page.text
    assert f'curl -H "X-Api-Key: YOUR-KEY" -F file=@image.jpg -F name="Spring sale" {sandbox.media_url}' in page.text
    assert page.all("article") == []


def test_cards_show_newest_first(sandbox: RunningSandbox) -> None:
    upload(sandbox, "old", description="Long ago", folderId="12")
    upload(sandbox, "video clip", MP4)
    page = open_page(sandbox)
    assert "2 files · " in page.text
    assert page.text.index("video clip") < page.text.index("old") < page.text.index("Long ago")
    for words in ("30 \N{MULTIPLICATION SIGN} 20", "image/png", "video/mp4", "20 B", "12"):
        assert words in page.text
    assert [image["alt"] for image in page.all("img")] == ["old"]
    video = page.all("video")[0]
    assert {"controls", "muted", "playsinline"} <= video.keys()
    assert video["preload"] == "metadata"
    for source in (video["src"], page.all("img")[0]["src"]):
        assert requests.get(f"{sandbox.base_url}{source}", timeout=10).status_code == 200


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onload='x"])
def test_names_cannot_become_markup(sandbox: RunningSandbox, name: str) -> None:
    upload(sandbox, name, description=name)
    page = open_page(sandbox)
    assert page.text.count(name) == 2
    assert len(page.all("script")) == 1
    assert [image["alt"] for image in page.all("img")] == [name]
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)


def test_security_policy_blocks_other_scripts_and_hosts(sandbox: RunningSandbox) -> None:
    response = requests.get(sandbox.base_url, timeout=10)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    nonce = re.search("script-src 'nonce-([^']+)'", policy)
    assert nonce
    page = Page(response.text)
    assert [script["nonce"] for script in page.all("script") + page.all("style")] == [nonce[1]] * 2
    assert not any(value and "//" in value for _, attributes in page.tags for value in attributes.values())
    again = requests.get(sandbox.base_url, timeout=10).headers["Content-Security-Policy"]
    assert again != policy


def test_large_library_has_pages(sandbox: RunningSandbox) -> None:
    for number in range(61):
        upload(sandbox, f"file {number}")
    first, second = open_page(sandbox), open_page(sandbox, "?page=2")
    assert (len(first.all("article")), len(second.all("article"))) == (60, 1)
    assert "/?page=2" in [link["href"] for link in first.all("a")]
    assert "/?page=1" in [link["href"] for link in second.all("a")]
    assert "Page 2 of 2" in second.text
    assert "The library has fewer pages" in open_page(sandbox, "?page=3").text
    assert len(open_page(sandbox, "?page=x").all("article")) == 60


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_700, "1 MB"),
        (1_540_000, "1.54 MB"),
        (104_857_600, "105 MB"),
        (5 * 10**12, "5 TB"),
    ],
)
def test_sizes_are_human_readable(size: int, text: str) -> None:
    assert human_size(size) == text

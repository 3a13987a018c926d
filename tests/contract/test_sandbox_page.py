"""The sandbox's library page."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

from airflow_provider_media.sandbox import pages
from airflow_provider_media.sandbox.server import Sandbox, run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

MP4 = b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00mp42"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with run_in_thread() as running:
        yield running


def upload(sandbox: Sandbox, name: str, content: bytes | None = None, **parts: str) -> None:
    if content is None:
        buffer = io.BytesIO()
        Image.new("RGB", (30, 20)).save(buffer, "PNG")
        content = buffer.getvalue()
    headers = {"X-Api-Key": sandbox.api_key}
    data = {"name": name, **parts}
    response = requests.post(sandbox.media_url, headers=headers, files={"file": content}, data=data, timeout=10)
    assert response.status_code == 201


def start(sandbox: Sandbox) -> dict[str, Any]:
    data: dict[str, Any] = requests.get(f"{sandbox.base_url}/api/start", timeout=10).json()
    return data


def library(sandbox: Sandbox, part: int = 0) -> dict[str, Any]:
    response = requests.get(f"{sandbox.base_url}/api/library/sandbox", {"part": part}, timeout=10)
    data: dict[str, Any] = response.json()
    return data


def test_page_and_its_scripts_are_served_without_a_key(sandbox: Sandbox) -> None:
    page = requests.get(sandbox.base_url, timeout=10).text
    paths = re.findall(r'(?:src|href)="(assets/[^"]+)"', page)
    assert set(paths) >= {f"assets/{name}" for name in pages._ASSETS}  # loaded in parallel
    for path in paths:
        assert requests.get(f"{sandbox.base_url}/{path}", timeout=10).status_code == 200
    assert requests.get(f"{sandbox.base_url}/assets/nothing.js", timeout=10).status_code == 404


def test_empty_library_shows_an_upload_command_with_the_default_key() -> None:
    for key, shown in (("sandbox-key", "sandbox-key"), ("a-secret", "YOUR-KEY")):
        with run_in_thread(SandboxSettings(api_key=key)) as sandbox:
            command = start(sandbox)["command"]
            assert library(sandbox)["items"] == []
        expected = f'curl -H "X-Api-Key: {shown}" -F file=@image.jpg -F name="Spring sale" {sandbox.media_url}'
        assert command == expected


def test_files_are_listed_newest_first_with_loadable_urls(sandbox: Sandbox) -> None:
    upload(sandbox, "old", description="Long ago", folderId="12")
    upload(sandbox, "video clip", MP4)
    found = library(sandbox)
    assert (found["total"], found["more"]) == (2, False)
    video, old = found["items"]
    assert (video["name"], video["mime_type"], video["size"], video["id"]) == ("video clip", "video/mp4", 20, "2")
    assert (old["width"], old["height"], old["folder_id"], old["description"]) == (30, 20, "12", "Long ago")
    entry = requests.get(f"{sandbox.base_url}/api/entry/sandbox", {"media": "1"}, timeout=10)
    assert entry.json() == old
    assert requests.get(f"{sandbox.base_url}/api/entry/sandbox", {"media": "9"}, timeout=10).status_code == 404
    for each in found["items"]:
        assert requests.get(each["url"], timeout=10).status_code == 200


def test_security_policy_blocks_other_scripts_and_hosts(sandbox: Sandbox) -> None:
    policy = requests.get(sandbox.base_url, timeout=10).headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " in policy
    assert "unsafe" not in policy
    assert set(re.findall(r"http\S+", policy.replace(";", ""))) == {sandbox.base_url}


def test_large_library_is_listed_in_parts(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_FILES_PER_PART", 2)
    for number in range(3):
        upload(sandbox, f"file {number}")
    parts = [library(sandbox, number) for number in range(2)]
    assert [[item["name"] for item in part["items"]] for part in parts] == [["file 2", "file 1"], ["file 0"]]
    assert [part["more"] for part in parts] == [True, False]

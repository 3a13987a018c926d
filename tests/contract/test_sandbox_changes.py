"""A sandbox that changes stored files, and that lags."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import NameStyle, SandboxSettings, TypeStyle

if TYPE_CHECKING:
    from airflow_provider_media.sandbox.server import Sandbox

CONTENTS = {
    "image/png": b"\x89PNG\r\n\x1a\n" + b"p" * 40,
    "image/jpeg": b"\xff\xd8\xff" + b"j" * 40,
    "image/gif": b"GIF89a" + b"g" * 40,
    "video/mp4": b"\x00\x00\x00\x18ftypisom" + b"m" * 40,
}


def call(sandbox: Sandbox, method: str = "GET", path: str = "", **options: Any) -> requests.Response:
    headers = {"X-Api-Key": sandbox.api_key}
    return requests.request(method, sandbox.media_url + path, headers=headers, timeout=10, **options)


def upload(sandbox: Sandbox, name: str = "a", content: bytes = CONTENTS["image/png"]) -> dict[str, Any]:
    response = call(sandbox, "POST", files={"file": ("a", content)}, data={"name": name, "description": "Text"})
    assert response.status_code == 201
    media: dict[str, Any] = response.json()
    return media


def listed(sandbox: Sandbox) -> list[Any]:
    return [media["id"] for media in call(sandbox).json()["content"]]


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("style", "stored"),
    [
        ("kept", " Summer/Caf\u0065\u0301 Menu of the Week.PNG"),
        ("trimmed", "Summer/Caf\u00e9 Menu of the Week.PNG"),
        ("lower", " summer/cafe\u0301 menu of the week.png"),
        ("slug", "summer-cafe-menu-of-the-week.png"),
        ("short", " Summer/Cafe\u0301 Me"),
    ],
)
def test_name_styles(style: NameStyle, stored: str) -> None:
    with run_in_thread(SandboxSettings(names=style)) as sandbox:
        media = upload(sandbox, " Summer/Cafe\u0301 Menu of the Week.PNG")
        assert media["name"] == stored
        assert call(sandbox, path=f"/{media['id']}").json() == media
        assert call(sandbox).json()["content"] == [media]


@pytest.mark.parametrize(
    ("style", "types"),
    [
        ("plain", [*CONTENTS]),
        ("legacy", ["image/x-png", "image/pjpeg", "image/x-gif", "application/mp4"]),
        ("family", ["IMAGE", "IMAGE", "IMAGE", "VIDEO"]),
        ("octet-stream", ["application/octet-stream"] * 4),
        ("absent", [None] * 4),
    ],
)
def test_type_styles(style: TypeStyle, types: list[str | None]) -> None:
    with run_in_thread(SandboxSettings(types=style)) as sandbox:
        assert [upload(sandbox, content=content).get("mimeType") for content in CONTENTS.values()] == types


def test_reencoding_changes_size_and_bytes() -> None:
    with run_in_thread(SandboxSettings(reencodes=True)) as sandbox:
        first, second = upload(sandbox), upload(sandbox)
        assert first["size"] == second["size"] != len(CONTENTS["image/png"])
        assert len(requests.get(first["url"], timeout=10).content) == first["size"]


@pytest.mark.parametrize("size", [None, 0])
def test_size_is_unknown_during_processing(size: Any) -> None:
    with run_in_thread(SandboxSettings(processing_seconds=0.5, processing_size=size)) as sandbox:
        media = upload(sandbox)
        assert media["size"] is size
        wait_until(lambda: call(sandbox, path=f"/{media['id']}").json()["size"] == len(CONTENTS["image/png"]))


def test_lagging_list_omits_new_files_and_contains_deleted_ones() -> None:
    with run_in_thread(SandboxSettings(list_lag_seconds=0.5)) as sandbox:
        media_id = upload(sandbox)["id"]
        assert listed(sandbox) == []
        assert call(sandbox, path=f"/{media_id}").status_code == 200
        assert [media["id"] for media in requests.get(f"{sandbox.base_url}/_sandbox/library", timeout=5).json()]
        wait_until(lambda: listed(sandbox) == [media_id])
        call(sandbox, "DELETE", f"/{media_id}")
        assert listed(sandbox) == [media_id]
        assert call(sandbox, path=f"/{media_id}").status_code == 404
        wait_until(lambda: listed(sandbox) == [])
        assert call(sandbox).json()["totalElements"] == 0


def test_lagging_get_does_not_find_a_new_file() -> None:
    with run_in_thread(SandboxSettings(get_lag_seconds=0.5)) as sandbox:
        media_id = upload(sandbox)["id"]
        assert call(sandbox, path=f"/{media_id}").status_code == 404
        assert listed(sandbox) == [media_id]
        wait_until(lambda: call(sandbox, path=f"/{media_id}").status_code == 200)


def test_brief_lists_omit_fields() -> None:
    with run_in_thread(SandboxSettings(brief_lists=True)) as sandbox:
        media = upload(sandbox)
        assert set(call(sandbox).json()["content"][0]) == {"id", "name", "mimeType", "size", "url"}
        assert call(sandbox, path=f"/{media['id']}").json() == media
        assert media["description"] == "Text"

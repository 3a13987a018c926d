"""The sandbox's other dialects and its rate limits."""

from __future__ import annotations

import io
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

from airflow_provider_media.sandbox.server import Sandbox, run_in_thread
from airflow_provider_media.sandbox.settings import MEDIA_PATH, Envelope, SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BURST = 3


def call(sandbox: Sandbox, method: str = "GET", path: str = "", **options: Any) -> requests.Response:
    headers = {"X-Api-Key": sandbox.api_key}
    return requests.request(method, sandbox.media_url + path, headers=headers, timeout=10, **options)


def upload(sandbox: Sandbox, name: str = "a.png") -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, "PNG")
    media: dict[str, Any] = call(sandbox, "POST", files={"file": (name, buffer.getvalue())}).json()
    return media


@pytest.mark.parametrize(
    ("envelope", "total_key"),
    [("items", "total"), ("data", "totalCount"), ("results", "count"), ("media", "total")],
)
@pytest.mark.parametrize("totals", [True, False])
def test_envelopes(envelope: Envelope, total_key: str, totals: bool) -> None:  # noqa: FBT001 (a test's parameter)
    with run_in_thread(SandboxSettings(envelope=envelope, totals=totals)) as sandbox:
        media = [upload(sandbox), upload(sandbox)]
        page = call(sandbox, path="?limit=1").json()
    assert page == {envelope: media[:1], "page": 0, "limit": 1} | ({total_key: 2} if totals else {})


def test_bare_array() -> None:
    with run_in_thread(SandboxSettings(envelope="array")) as sandbox:
        media = upload(sandbox)
        assert call(sandbox).json() == [media]


def test_default_envelope_without_totals() -> None:
    with run_in_thread(SandboxSettings(totals=False)) as sandbox:
        assert call(sandbox).json() == {"content": [], "page": 0, "limit": 10}


def test_text_ids() -> None:
    with run_in_thread(SandboxSettings(id_style="text")) as sandbox:
        media = [upload(sandbox) for _ in range(6)]
        ids = [entry["mediaId"] for entry in media]
        assert all(re.fullmatch("med_[0-9a-f]{12}", media_id) for media_id in ids)
        assert "id" not in media[0]
        listed = [entry["mediaId"] for entry in call(sandbox).json()["content"]]
        assert listed == sorted(ids)
        assert call(sandbox, path=f"/{ids[3]}").json() == media[3]
        assert requests.get(media[3]["url"], timeout=10).status_code == 200
        assert call(sandbox, "DELETE", f"/{ids[3]}").status_code == 204
        assert call(sandbox, path=f"/{ids[3]}").status_code == 404
        assert call(sandbox, path="/1").status_code == 404


@pytest.fixture
def burst_sandbox() -> Iterator[Sandbox]:
    with run_in_thread(SandboxSettings(burst_per_second=BURST)) as running:
        yield running


def test_minute_limit_returns_the_documented_error() -> None:
    with run_in_thread(SandboxSettings(requests_per_minute=2)) as sandbox:
        requests.get(sandbox.media_url, timeout=10)  # does not count, because it has no key
        remaining = [call(sandbox).headers["X-RateLimit-Remaining"] for _ in range(2)]
        response = call(sandbox, "POST", data=b"x")
    body = response.json()
    assert remaining == ["1", "0"]
    assert (response.status_code, body["status"], body["error"]) == (429, 429, "Too Many Requests")
    assert 1 <= body["retryAfter"] <= 60
    assert response.headers["Retry-After"] == str(body["retryAfter"])
    assert (response.headers["X-RateLimit-Limit"], response.headers["X-RateLimit-Remaining"]) == ("2", "0")
    assert time.time() - 1 <= int(response.headers["X-RateLimit-Reset"]) <= time.time() + 61


def test_burst_limit_rejects_and_then_recovers(burst_sandbox: Sandbox) -> None:
    statuses = []
    while 429 not in statuses:  # a window may end during the loop
        statuses.append(call(burst_sandbox).status_code)
    assert statuses[-1 - BURST :] == [200] * BURST + [429]
    deadline = time.monotonic() + 5
    while call(burst_sandbox).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("id_style", ["random", "down", "mixed"])
def test_non_sequential_ids_are_unique_sorted_and_found(id_style: Any) -> None:
    with run_in_thread(SandboxSettings(id_style=id_style)) as sandbox:
        headers = {"X-Api-Key": sandbox.api_key}

        def ids(order: str) -> list[Any]:
            params = {"limit": 100, "sortBy": "id", "sortOrder": order}
            page = requests.get(sandbox.media_url, params=params, headers=headers, timeout=5).json()
            return [media["id"] for media in page["content"]]

        stored = []
        for _ in range(6):
            files = {"file": ("a.png", b"\x89PNG\r\n\x1a\n")}
            stored.append(requests.post(sandbox.media_url, files=files, headers=headers, timeout=5).json()["id"])
        assert ids("asc") == ids("desc")[::-1] == sorted(stored, key=lambda key: (isinstance(key, str), key))
        assert ids("asc") != stored
        assert len(set(stored)) == 6
        for media_id in stored:
            found = requests.get(f"{sandbox.media_url}/{media_id}", headers=headers, timeout=5).json()
            assert found["id"] == media_id


def test_wrapped_responses() -> None:
    with run_in_thread(SandboxSettings(wrapped=True)) as sandbox:
        media = upload(sandbox)["data"]
        assert call(sandbox, path=f"/{media['id']}").json() == {"data": media}
        assert call(sandbox).json()["content"] == [media]


@pytest.mark.parametrize(
    ("collation", "order"),
    [("binary", "B a z Ä é"), ("nocase", "a B z Ä é"), ("accents", "a Ä B é z"), ("id", "z é a Ä B")],
)
def test_collations_of_names(collation: Any, order: str) -> None:
    with run_in_thread(SandboxSettings(collation=collation)) as sandbox:
        for name in ["z", "é", "a", "Ä", "B"]:
            upload(sandbox, name)
        for direction, expected in (("asc", order.split()), ("desc", order.split()[::-1])):
            page = call(sandbox, path=f"?sortBy=name&sortOrder={direction}").json()
            assert [media["name"] for media in page["content"]] == expected


def test_compressed_errors() -> None:
    with run_in_thread(SandboxSettings(compressed_errors=True)) as sandbox:
        raw = call(sandbox, path="/9", stream=True)
        assert raw.raw.read(decode_content=False).startswith(b"\x1f\x8b")
        response = call(sandbox, path="/9")
        assert (response.status_code, response.json()["status"]) == (404, 404)
        assert response.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in call(sandbox).headers


def test_interim_responses() -> None:
    with run_in_thread(SandboxSettings(interim_responses=True)) as sandbox:
        with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
            head = f"GET {MEDIA_PATH} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {sandbox.api_key}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"100", b"102", b"103", b"200"]


DIALECTS = {
    "wrapped": SandboxSettings(wrapped=True, envelope="data"),
    "compressed errors": SandboxSettings(compressed_errors=True),
    "interim responses": SandboxSettings(interim_responses=True),
    "collation": SandboxSettings(collation="accents"),
}


@pytest.mark.parametrize("settings", DIALECTS.values(), ids=DIALECTS)
def test_hook_works_in_dialect(settings: SandboxSettings, connect: Any, image: Path) -> None:
    with run_in_thread(settings) as sandbox:
        hook = connect(sandbox.base_url, sandbox.api_key)
        stored = hook.upload(image, name="a").media
        assert hook.upload(image, name="a", if_exists="reuse").media == stored
        assert hook.get_media(stored.id) == stored
        hook.delete(stored.id)
        assert not hook.exists(stored.id)

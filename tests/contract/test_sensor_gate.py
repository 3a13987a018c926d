"""The sensor checks the files in the library before a send: the channels' rules, and what their URLs serve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, TaskDeferred

from airflow_provider_media.exceptions import MediaConfigurationError, MediaFileError, MediaUnavailableError
from airflow_provider_media.models import Media
from airflow_provider_media.reports import approval_body
from airflow_provider_media.sensors._gate import Gate
from airflow_provider_media.sensors.media import MediaExistsSensor
from tests.contract.helpers.file_server import FileServer, serve_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.helpers.sandbox_library import SandboxLibrary

EXAMPLES = Path(__file__).parents[2] / "example_dags" / "media"
JPEG, VIDEO = (EXAMPLES / "banner.jpg").read_bytes(), (EXAMPLES / "pour.mp4").read_bytes()
HEADERS_LAST = (Path(__file__).parents[1] / "unit" / "media" / "h264-aac-headers-last.mp4").read_bytes()
GRAY_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + bytes([0, 0, 5, 160, 0, 0, 2, 208, 8, 0, 0, 0, 0]) + bytes(99)
GIF = b"GIF89a\xa0\x05\xd0\x02\0\0\0;"
HTML = b"<!doctype html><title>Not found</title>"
WHATSAPP = Gate(("whatsapp",))
URLS = Gate(check_url=True)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_files() as server:
        yield server


def media_at(server: FileServer, content: bytes, mime_type: str = "image/jpeg", **fields: Any) -> Media:
    """Store a file; return its metadata. The server declares the type."""
    number = len(server.files) + 1
    server.headers["Content-Type"] = mime_type
    url = server.put(f"/{number}", content)
    return Media(**{"id": number, "name": "banner", "mime_type": mime_type, "size": len(content), "url": url} | fields)


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize(
    ("content", "mime_type"), [(JPEG, "image/jpeg"), (VIDEO, "video/mp4"), (HEADERS_LAST, "video/mp4")]
)
def test_good_file_passes(server: FileServer, content: bytes, mime_type: str, *, has_ranges: bool) -> None:
    server.has_ranges = has_ranges
    Gate(("whatsapp", "rcs"), check_url=True).check([media_at(server, content, mime_type)])


REJECTED: list[tuple[bytes, dict[str, Any], str]] = [
    (GIF, {"mime_type": "image/gif"}, "GIF; WhatsApp accepts JPEG, PNG, MP4"),
    (JPEG, {"size": 6_000_000}, "6.0 MB; WhatsApp accepts at most 5 MB"),
    (GIF, {"mime_type": "IMAGE"}, "GIF; WhatsApp accepts JPEG, PNG, MP4"),
    (GIF, {}, "GIF; WhatsApp accepts JPEG, PNG, MP4"),  # the header decides
    (GRAY_PNG, {"mime_type": "image/png"}, "8-bit grayscale; WhatsApp accepts 8-bit RGB or RGBA"),
    (HTML, {}, "web page; no channel accepts it"),
    (b"\1\2\3" * 33, {}, "file of unknown type; no channel accepts it"),
    (JPEG[:50], {}, "truncated: it ends at byte 50"),
]


@pytest.mark.parametrize(("content", "fields", "reason"), REJECTED, ids=[reason[:30] for *_, reason in REJECTED])
def test_file_that_a_channel_rejects_is_a_permanent_error(
    server: FileServer, content: bytes, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(MediaFileError) as raised:
        WHATSAPP.check([media_at(server, content, **fields)])
    assert str(raised.value).startswith(f"1 of 1 file cannot be sent:\n'banner' (id 1)  {reason}")


def test_metadata_that_a_channel_rejects_needs_no_request(server: FileServer) -> None:
    with pytest.raises(MediaFileError):
        WHATSAPP.check([media_at(server, GIF, "image/gif")])
    assert server.requests == []


UNAVAILABLE: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"url": None}, {}, "the library returned no URL"),
    ({"url": "http://127.0.0.1:9/x"}, {}, "URL: "),
    ({"url": "http://169.254.169.254/x"}, {}, "URL: its host has the address 169.254.169.254"),
    ({"url": "https://"}, {}, "URL: the URL has no host"),
    ({"size": 7}, {}, "URL: serves "),
    ({}, {"Content-Type": "text/html"}, "URL: served as text/html, not as image/jpeg"),
    ({}, {"Content-Type": "image/png"}, "URL: served as image/png, not as image/jpeg"),
    ({"mime_type": None}, {"Content-Type": "application/octet-stream"}, "URL: served as application/octet-stream, not"),
]


@pytest.mark.parametrize(("fields", "headers", "reason"), UNAVAILABLE, ids=[reason[:40] for *_, reason in UNAVAILABLE])
def test_url_that_does_not_serve_the_file_may_pass(
    server: FileServer, fields: dict[str, Any], headers: dict[str, str], reason: str
) -> None:
    media = media_at(server, JPEG, **fields)
    server.headers |= headers
    with pytest.raises(MediaUnavailableError) as raised:
        URLS.check([media])
    assert f"'banner' (id 1)  {reason}" in str(raised.value)


def test_url_is_fetched_without_the_api_key(server: FileServer) -> None:
    URLS.check([media_at(server, JPEG)])
    [request] = server.requests
    assert not {"x-api-key", "authorization", "cookie"} & {name.lower() for name in request.headers}


def test_all_failures_of_all_files_are_listed(server: FileServer) -> None:
    files = [
        media_at(server, GIF, "image/gif", name="anim.gif"),
        media_at(server, JPEG, name="gone", url=server.url("/gone")),
        media_at(server, JPEG, name="good"),
    ]
    with pytest.raises(MediaFileError) as raised:
        Gate(("whatsapp",), check_url=True).check(files)
    lines = str(raised.value).splitlines()
    assert lines[0] == "2 of 3 files cannot be sent:"
    assert lines[1:] == [
        "'anim.gif' (id 1)  GIF; WhatsApp accepts JPEG, PNG, MP4",
        "'gone' (id 2)  URL: HTTP 404",
    ]


def fail_urls(library: SandboxLibrary) -> None:
    library.fail("status", status=404, method="GET", path="/files/*")


def sensor(conn_id: str, **arguments: Any) -> MediaExistsSensor:
    return MediaExistsSensor(task_id="gate", media_conn_id=conn_id, **arguments)


@pytest.fixture
def conn_id(define: Any, library: SandboxLibrary) -> str:
    for name, content in (("banner", JPEG), ("video", VIDEO), ("gray", GRAY_PNG)):
        library.store(name, content)
    library.forget()
    name: str = define()
    return name


def test_sensor_returns_files_that_pass(conn_id: str, library: SandboxLibrary) -> None:
    found = sensor(conn_id, names=["banner", "video"], channels=["whatsapp", "RCS"], check_url=True).execute({})  # type: ignore[typeddict-item]
    assert [media["name"] for media in found] == ["banner", "video"]


def test_results_have_the_warnings_of_the_channels(conn_id: str, library: SandboxLibrary) -> None:
    library.store("narrow", GRAY_PNG.replace(b"\x05\xa0", b"\x01\0"))
    found = sensor(conn_id, names=["banner", "narrow"], channels="rcs").execute({})  # type: ignore[typeddict-item]
    summaries = [[warning.partition(";")[0] for warning in media["warnings"]] for media in found]
    assert summaries == [[], ["RCS: 256x720 fits no card"]]
    assert "256x720 fits no card" in approval_body(found)


@pytest.mark.parametrize("mode", [{}, {"deferrable": True}], ids=["poke", "deferrable"])
def test_sensor_fails_immediately_if_a_channel_rejects_a_file(conn_id: str, mode: dict[str, Any]) -> None:
    with pytest.raises(MediaFileError, match=r"1 of 2 files cannot be sent:\s'gray' .*8-bit grayscale"):
        sensor(conn_id, names=["banner", "gray"], channels="whatsapp", **mode).execute({})  # type: ignore[typeddict-item]


def test_url_that_fails_counts_as_failed_poll(conn_id: str, library: SandboxLibrary) -> None:
    waiting = sensor(conn_id, name="banner", check_url=True, max_poll_failures=2)
    fail_urls(library)
    assert not waiting.poke({}).is_done  # type: ignore[typeddict-item]
    assert waiting.poke({}).is_done  # type: ignore[typeddict-item]


def test_files_of_a_trigger_are_checked_and_deferred_again(conn_id: str, library: SandboxLibrary) -> None:
    waiting = sensor(conn_id, name="banner", check_url=True, deferrable=True, poke_interval=60)
    event = {"status": "found", "found": {"banner": [library.files()[0]]}}
    fail_urls(library)
    with pytest.raises(TaskDeferred) as raised:
        waiting.execute_complete({}, event)  # type: ignore[typeddict-item]
    assert raised.value.trigger.names == []
    assert datetime.fromisoformat(raised.value.trigger.not_before) > datetime.now(UTC) + timedelta(seconds=50)
    assert waiting.execute_complete({}, {"status": "found"})["name"] == "banner"  # type: ignore[typeddict-item]


def test_deadline_names_the_files_that_cannot_be_sent(conn_id: str, library: SandboxLibrary) -> None:
    fail_urls(library)
    waiting = sensor(conn_id, name="banner", check_url=True, needed_by="2026-01-01T00:00:00Z")
    with pytest.raises(AirflowSensorTimeout, match=r"the last poll failed: 1 of 1 file cannot be sent:\s'banner'"):
        waiting.execute({})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("argument", [{"channels": ["fax"]}, {"channels": None}, {"check_url": "perhaps"}])
def test_invalid_arguments_are_refused_without_requests(
    conn_id: str, library: SandboxLibrary, argument: dict[str, Any]
) -> None:
    with pytest.raises(MediaConfigurationError):
        sensor(conn_id, name="banner", **argument).execute({})  # type: ignore[typeddict-item]
    assert library.journal() == []

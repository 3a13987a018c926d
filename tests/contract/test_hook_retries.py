"""Transient failures are retried with delays; permanent ones are not."""

from __future__ import annotations

import re
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import (
    MediaError,
    MediaNotFoundError,
    MediaRateLimitError,
    MediaRequestError,
    MediaResponseError,
    MediaUnavailableError,
)
from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings
from tests.contract.helpers.blocking import both_hooks
from tests.contract.helpers.sandbox_library import SandboxLibrary, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_media.hooks.media import MediaHook
    from tests.contract.helpers.raw_server import RawServer

PNG = b"\x89PNG\r\n\x1a\n"
WHOLE = "GET POST"
SENT_AGAIN_BLINDLY = "GET POST POST"
CHECKED_THEN_RETRIED = r"GET POST (GET )+POST( GET)+"
PROTOCOLS = pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])


@pytest.fixture
def settings_for(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., SandboxSettings]:
    """Settings for a sandbox of one protocol or the other, whose certificate is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))

    def make(*, tls: bool, **options: Any) -> SandboxSettings:
        of_tls: Any = {"tls_certificate": certificate[0], "tls_key": certificate[1]} if tls else {}
        return SandboxSettings(api_key="key-of-the-tests", **of_tls, **options)

    return make


def assert_stored_once(library: SandboxLibrary, image: Path, methods: str) -> None:
    found = library.methods()
    assert re.fullmatch(methods, found), found
    [stored] = library.files()
    assert sha256_of(stored["url"]) == sha256_of(image.read_bytes())


@both_hooks
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_get_is_retried_after_a_transient_failure(hook: MediaHook, library: SandboxLibrary, status: int) -> None:
    media_id = library.store("a", PNG)
    library.forget()
    library.fail("status", "GET", status=status, times=2)
    assert hook.get_media(media_id).name == "a"
    assert library.methods() == "GET GET GET"


@both_hooks
@pytest.mark.parametrize("fault", ["reset_before_body", "reset_before_answer", "store_then_drop", "cut_answer"])
def test_get_is_retried_after_a_lost_connection(hook: MediaHook, library: SandboxLibrary, fault: str) -> None:
    media_id = library.store("a", PNG)
    library.forget()
    library.fail(fault, "GET")
    assert hook.get_media(media_id).name == "a"
    assert library.methods() == "GET GET"


@both_hooks
def test_get_is_retried_after_a_timeout(connect: Any, library: SandboxLibrary) -> None:
    media_id = library.store("a", PNG)
    library.forget()
    library.fail("slow", "GET", delay_seconds=2)
    assert connect(library.sandbox.base_url, timeout=0.8).get_media(media_id).name == "a"
    assert library.methods() == "GET GET"


@pytest.mark.parametrize("fault", ["store_then_drop", "reset_before_body", "reset_before_answer"])
def test_delete_is_retried_and_may_find_the_file_deleted(hook: MediaHook, library: SandboxLibrary, fault: str) -> None:
    media_id = library.store("a", PNG)
    library.forget()
    library.fail(fault, "DELETE")
    hook.delete(media_id)
    assert library.methods() == "DELETE DELETE"
    assert library.files() == []


def test_rejected_upload_is_retried_without_a_lookup(hook: MediaHook, library: SandboxLibrary, image: Path) -> None:
    library.fail("status", status=429)
    hook.upload(image)
    assert_stored_once(library, image, SENT_AGAIN_BLINDLY)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599])
def test_uncertain_upload_is_checked_before_a_retry(
    hook: MediaHook, library: SandboxLibrary, image: Path, status: int
) -> None:
    library.fail("status", status=status)
    assert hook.upload(image).created
    assert_stored_once(library, image, CHECKED_THEN_RETRIED)


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("reset_before_body", {}),
        ("reset_mid_body", {"after_bytes": 100}),
        ("reset_mid_body", {"after_bytes": 1_000_000}),
        ("reset_before_answer", {}),
    ],
)
def test_reset_upload_is_checked_and_retried(
    hook: MediaHook, library: SandboxLibrary, tmp_path: Path, fault: str, options: dict[str, Any]
) -> None:
    big = tmp_path / "big.png"
    big.write_bytes(PNG + bytes(3_000_000))
    library.fail(fault, **options)
    hook.upload(big)
    assert_stored_once(library, big, CHECKED_THEN_RETRIED)


@pytest.mark.parametrize(
    ("fault", "options"),
    [("store_then_drop", {}), ("cut_answer", {}), ("store_late", {"delay_seconds": 0.3, "drop_after_seconds": 0.05})],
)
def test_upload_with_lost_response_is_adopted_and_not_retried(
    connect: Any, library: SandboxLibrary, image: Path, fault: str, options: dict[str, Any]
) -> None:
    library.fail(fault, **options)
    result = connect(library.sandbox.base_url, settle_seconds=5).upload(image)
    assert result.created
    assert [media["id"] for media in library.files()] == [result.media.id]
    assert_stored_once(library, image, r"GET POST( GET)+")


def test_upload_after_503_of_a_proxy_is_adopted(
    connect: Any, raw_server: Any, library: SandboxLibrary, image: Path
) -> None:
    """A proxy also sends 503 if its connection to the server broke after the file was stored."""
    from tests.contract.helpers.raw_server import http_response

    def lose_response(head: str) -> bytes:
        if head.startswith("POST"):
            library.store("banner.png", image.read_bytes())
            return http_response(503, "upstream connect error or disconnect/reset before headers")
        return http_response(200, {"items": library.files()[::-1], "total": len(library.files())})

    result = connect(raw_server(lose_response).url, settle_seconds=5).upload(image)
    assert [media["id"] for media in library.files()] == [result.media.id]


def test_timed_out_upload_is_adopted_once_visible(connect: Any, library: SandboxLibrary, image: Path) -> None:
    library.fail("store_late", delay_seconds=2, drop_after_seconds=2)
    connect(library.sandbox.base_url, settle_seconds=10, timeout=0.8).upload(image)
    assert_stored_once(library, image, r"GET POST( GET)+")


def test_older_equal_file_is_not_adopted(hook: MediaHook, library: SandboxLibrary, image: Path) -> None:
    old = library.store("banner.png", image.read_bytes())
    library.fail("reset_before_answer")
    assert hook.upload(image).media.id != old
    assert len(library.files()) == 2


@pytest.mark.parametrize("id_style", ["random", "down", "mixed"])
@pytest.mark.parametrize("if_exists", ["upload", "replace"])
def test_file_with_lost_response_is_found_by_any_kind_of_id(
    connect: Any, settings_for: Any, image: Path, id_style: str, if_exists: str
) -> None:
    with run_in_thread(replace(settings_for(tls=False), id_style=id_style)) as running:
        library, hook = SandboxLibrary(running), connect(running.base_url)
        for number in range(105):  # more than show whether ids grow
            library.store("banner.png" if number in (3, 104) else f"other-{number}", image.read_bytes())
        before = {media["id"] for media in library.files()}
        library.fail("reset_before_answer")
        result = hook.upload(image, if_exists=if_exists)
        assert result.media.id not in before
        assert [media["id"] for media in library.files() if media["id"] not in before] == [result.media.id]
        assert len(library.files()) == (106 if if_exists == "upload" else 104)


@PROTOCOLS
def test_late_duplicate_is_reported_and_kept(
    connect: Any, settings_for: Any, image: Path, caplog: pytest.LogCaptureFixture, *, tls: bool
) -> None:
    with run_in_thread(settings_for(tls=tls)) as running:
        library = SandboxLibrary(running)
        library.fail("store_late", delay_seconds=1, drop_after_seconds=0)
        library.fail("slow", delay_seconds=1.5)  # the second attempt, so that the first is stored during it
        media = connect(running.base_url, settle_seconds=0, max_attempts=4).upload(image).media
        first, second = library.files()
        assert second["id"] == media.id
        assert f"Found duplicates from an earlier attempt: {first['id']}" in caplog.text
        assert library.count("POST") == 2
        assert {sha256_of(file["url"]) for file in (first, second)} == {sha256_of(image.read_bytes())}


def test_retries_end_with_the_last_attempt(connect: Any, library: SandboxLibrary, image: Path) -> None:
    hook = connect(library.sandbox.base_url, max_attempts=3)
    library.fail("status", status=503, times=99)
    with pytest.raises(MediaUnavailableError, match="HTTP 503") as raised:
        hook.upload(image)
    assert re.fullmatch(r"GET( POST( GET)+){3}", library.methods())
    assert (raised.value.status, raised.value.retryable) == (503, True)


@both_hooks
def test_each_retry_logs_one_line_with_cause_and_delay(
    hook: MediaHook, library: SandboxLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    library.fail("status", "GET", status=502, times=2)
    hook.list_page()
    retries = [record.getMessage() for record in caplog.records if "Retrying in" in record.getMessage()]
    assert len(retries) == 2
    assert re.search(r"Retrying in 0\.0 s \(attempt 2 of 10\): Could not list .* HTTP 502", retries[0])


@pytest.mark.parametrize("way", ["header", "date", "body"])
def test_retry_after_is_obeyed(hook: MediaHook, library: SandboxLibrary, image: Path, way: str) -> None:
    until = (datetime.now(UTC) + timedelta(seconds=1)).replace(microsecond=0)
    ways: dict[str, dict[str, Any]] = {
        "header": {"headers": {"Retry-After": "0.3"}, "body": {"retryAfter": 900}},
        "date": {"headers": {"Retry-After": format_datetime(until, usegmt=True)}},
        "body": {"body": {"status": 429, "message": "Too many", "retryAfter": 0.3}},
    }
    library.fail("status", status=429, **ways[way])
    hook.upload(image)
    _, refused, taken = library.journal()
    if way == "date":
        assert taken["started_at"] >= until.timestamp() - 0.05
    else:
        assert 0.29 <= taken["started_at"] - refused["started_at"] < 30  # and not what the body says beside the header
    assert_stored_once(library, image, SENT_AGAIN_BLINDLY)


@pytest.mark.parametrize("way", ["header", "date", "body"])
def test_retry_after_beyond_the_budget_fails_immediately(
    hook: MediaHook, library: SandboxLibrary, image: Path, way: str
) -> None:
    ways: dict[str, dict[str, Any]] = {
        "header": {"headers": {"Retry-After": "121"}},
        "date": {"headers": {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(minutes=9), usegmt=True)}},
        "body": {"body": {"retryAfter": 121}},
    }
    library.fail("status", status=429, times=9, **ways[way])
    started = time.monotonic()
    with pytest.raises(MediaRateLimitError, match="the rate limit of the API key is exceeded"):
        hook.upload(image)
    assert time.monotonic() - started < 5
    assert library.methods() == WHOLE


@both_hooks
def test_rate_limit_of_the_sandbox_is_obeyed(connect: Any) -> None:
    with run_in_thread(SandboxSettings(api_key="key-of-the-tests", burst_per_second=1)) as running:
        hook = connect(running.base_url)
        pages = [hook.list_page() for _ in range(3)]
        statuses = [call["status"] for call in SandboxLibrary(running).journal()]
    assert len(pages) == 3
    assert statuses.count(200) == 3
    assert 429 in statuses


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 422])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_rejection_is_not_retried(
    hook: MediaHook, library: SandboxLibrary, image: Path, status: int, method: str
) -> None:
    library.fail("status", method, status=status, times=9, skip=0)
    action: dict[str, Callable[[], Any]] = {
        "GET": hook.list_page,
        "POST": lambda: hook.upload(image),
        "DELETE": lambda: hook.delete(1),
    }
    with pytest.raises(MediaRequestError, match=f"HTTP {status}") as raised:
        action[method]()
    sent = 2 if (method, status) == ("POST", 401) else 1  # a key that was accepted for the list just before
    assert (raised.value.status, library.count(method)) == (status, sent)
    assert library.files() == [] if method != "GET" else True


def test_a_file_that_is_too_large_for_the_platform_is_sent_once(
    hook: MediaHook, library: SandboxLibrary, tmp_path: Path
) -> None:
    (tmp_path / "big.png").write_bytes(PNG + bytes(9 * 1024 * 1024))
    with pytest.raises(MediaRequestError, match="the file exceeds the platform's size limit"):
        hook.upload(tmp_path / "big.png")
    assert library.methods() == WHOLE


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


@both_hooks
def test_refused_connection_is_retried_and_then_raised(connect: Any, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as reserved:  # does not listen, and keeps the port from the servers of other test processes
        reserved.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(MediaUnavailableError, match=rf"no connection to {address} \(Connection refused\)"):
            connect(address, max_attempts=3).get_media(1)
    assert caplog.text.count("Retrying in") == 2


@PROTOCOLS
def test_server_that_starts_during_retries_gets_the_upload_once(
    connect: Any, settings_for: Any, image: Path, caplog: pytest.LogCaptureFixture, *, tls: bool
) -> None:
    settings = settings_for(tls=tls, port=free_port())
    hook = connect(f"{'https' if tls else 'http'}://127.0.0.1:{settings.port}", max_attempts=500, retry_budget=30)
    results: list[Any] = []
    uploading = threading.Thread(target=lambda: results.append(hook.upload(image)))
    uploading.start()
    while uploading.is_alive() and "Connection refused" not in caplog.text:
        time.sleep(0.01)
    with run_in_thread(settings) as running:
        uploading.join()
        assert_stored_once(SandboxLibrary(running), image, WHOLE)
    assert results[0].created


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed_with_the_key(connect: Any, raw_server: Any, image: Path, status: int) -> None:
    from tests.contract.helpers.raw_server import http_response

    other: RawServer = raw_server(lambda _: http_response(200, {"items": [], "total": 0}))

    def redirect(head: str) -> bytes:
        if head.startswith("GET") and "limit=2" in head:  # the lookup before an upload
            return http_response(200, {"items": [], "total": 0})
        return http_response(status, "", f"Location: {other.url}/elsewhere")

    hook = connect(raw_server(redirect).url)
    actions: list[Callable[[], Any]] = [
        hook.list_page,
        lambda: hook.get_media(1),
        lambda: hook.delete(1),
        lambda: hook.upload(image),
    ]
    for action in actions:
        with pytest.raises(MediaResponseError, match=f"redirect to '{other.url}/elsewhere'") as raised:
            action()
        assert isinstance(raised.value, MediaError)
    assert other.heads == []


@both_hooks
def test_delete_of_a_missing_file_fails_after_a_stale_connection(
    connect: Any, raw_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server closes a reused connection between the pool's check and the first byte of the request."""
    from airflow_provider_media._transports import upload_connection
    from tests.contract.helpers.raw_server import http_response

    def respond(head: str) -> bytes:
        is_delete = head.startswith("DELETE")
        value = {} if is_delete else {"content": [], "totalElements": 0}
        return http_response(404 if is_delete else 200, value, connection="keep-alive")

    server = raw_server(respond, keeps=True)
    hook = connect(server.url)
    hook.list_page()
    wait_for_read, closed = upload_connection.wait_for_read, []

    def close_once(sock: socket.socket, timeout: float) -> bool:
        if closed:
            return wait_for_read(sock, timeout)
        closed.append(sock)
        socket.socket.shutdown(server._current, socket.SHUT_RDWR)
        return wait_for_read(sock, 5)

    monkeypatch.setattr(upload_connection, "wait_for_read", close_once)
    with pytest.raises(MediaNotFoundError):
        hook.delete(77)
    assert [line.split(" ")[0] for line in server.lines] == ["GET", "DELETE"]


def test_delete_succeeds_if_the_file_is_gone_after_a_lost_response(connect: Any, raw_server: Any) -> None:
    from tests.contract.helpers.raw_server import http_response

    responses = iter([b"", http_response(404, {})])
    server = raw_server(lambda _: next(responses))
    connect(server.url).delete(77)
    assert len(server.lines) == 2

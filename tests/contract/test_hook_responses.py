"""Truncated, endless and invalid responses raise the same errors in both hooks."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import (
    MediaConfigurationError,
    MediaError,
    MediaResponseError,
    MediaUnavailableError,
)
from tests.contract.helpers.blocking import both_hooks
from tests.contract.helpers.raw_server import http_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.helpers.raw_server import RawServer

pytestmark = both_hooks

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = HEAD + b"Content-Length: 500\r\n\r\n"


def reset_half_way(_head: str) -> Iterator[bytes]:
    yield LONG + b"{"
    threading.Event().wait(0.1)  # else the reset overtakes what was sent
    raise ConnectionResetError


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (LONG, MediaResponseError, "the response is truncated"),
        (LONG + b'{"id": 1', MediaResponseError, "the response is truncated"),
        (CHUNKED + b'8\r\n{"id": 1\r\n', MediaResponseError, "the response is truncated"),
        (CHUNKED + b"no number\r\n", MediaResponseError, "the response is truncated"),
        (b"", MediaUnavailableError, "the connection to .* was lost"),
    ],
)
def test_truncated_response_is_retried(
    connect: Any, raw_server: Any, reply: bytes, error: type[MediaError], words: str
) -> None:
    server: RawServer = raw_server(lambda _: reply)
    with pytest.raises(error, match=words):
        connect(server.url, max_attempts=3).get_media(1)
    assert len(server.heads) == 3


def test_connection_reset_during_a_response_is_not_an_invalid_response(connect: Any, raw_server: Any) -> None:
    server: RawServer = raw_server(reset_half_way)
    reason = "(Connection reset by peer|BrokenResourceError)"  # the anyio of 2025 keeps the cause to itself
    with pytest.raises(MediaUnavailableError, match=rf"the connection to .* was lost \({reason}\)"):
        connect(server.url, max_attempts=2).get_media(1)
    assert len(server.heads) == 2


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (http_response(200, "zzzz", "Content-Encoding: br"), r"compressed \(br\), which was not requested"),
        (http_response(200, ""), "empty body"),
        (http_response(204, ""), "empty body"),
        (http_response(200, "<html>"), "not JSON"),
        (http_response(200, {"name": "a"}), "an entry has no valid id"),
        (http_response(304, ""), "did not follow the redirect"),
    ],
)
def test_invalid_response_is_not_retried(connect: Any, raw_server: Any, reply: bytes, words: str) -> None:
    server: RawServer = raw_server(lambda _: reply)
    with pytest.raises(MediaResponseError, match=words):
        connect(server.url).get_media(1)
    [head] = server.heads
    assert "Accept-Encoding: identity" in head
    assert "Cache-Control: no-cache" in head


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(connect: Any, raw_server: Any, status: int) -> None:
    other: RawServer = raw_server(lambda _: http_response(200, {"id": 1}))
    server: RawServer = raw_server(lambda _: http_response(status, "", f"Location: {other.url}/elsewhere"))
    with pytest.raises(MediaResponseError, match=f"redirect to '{other.url}/elsewhere'"):
        connect(server.url).get_media(1)
    assert (len(server.heads), other.heads) == (1, [])


@pytest.mark.parametrize(
    "location", [b"/portal/\xfcber", b"http://[bad", b"http://\x80", b"http://h:port/", b"//", b"http://", b"\\\\"]
)
def test_redirect_target_may_be_invalid(connect: Any, raw_server: Any, location: bytes) -> None:
    server: RawServer = raw_server(
        lambda _: b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    )
    with pytest.raises(MediaResponseError, match="did not follow the redirect"):
        connect(server.url).get_media(1)
    assert len(server.heads) == 1


STATUS_LINES = pytest.mark.parametrize(
    "head", [HEAD, b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1/elsewhere\r\n"], ids=["200", "301"]
)


@STATUS_LINES
def test_endless_response_is_read_up_to_a_limit(connect: Any, raw_server: Any, head: bytes) -> None:
    sent: list[int] = []

    def endless(_head: str) -> Iterator[bytes]:
        yield head + b"\r\n"
        while len(sent) < 1000:
            sent.append(65536)
            yield b" " * 65536

    # The status decides first: of a redirect's body nothing is needed.
    with pytest.raises(
        MediaResponseError, match="larger than 32 MiB" if head == HEAD else "did not follow the redirect"
    ):
        connect(raw_server(endless).url).get_media(1)
    assert sum(sent) < 60_000_000


@STATUS_LINES
def test_dripping_response_times_out(connect: Any, raw_server: Any, head: bytes) -> None:
    def drip(_head: str) -> Iterator[bytes]:
        yield head + b"\r\n"
        for _ in range(1500):
            threading.Event().wait(0.02)
            yield b" "

    started = time.monotonic()
    words = "timed out reading the body" if head == HEAD else "did not follow the redirect"
    with pytest.raises(MediaResponseError, match=words):
        connect(raw_server(drip).url, timeout=0.6).get_media(1)
    assert time.monotonic() - started < 15


def test_silent_server_times_out(connect: Any, raw_server: Any) -> None:
    over = threading.Event()

    def be_silent(_head: str) -> Iterator[bytes]:
        over.wait(10)
        yield b""

    server: RawServer = raw_server(be_silent)
    with pytest.raises(MediaUnavailableError, match=r"timed out after 0\.2 s without data"):
        connect(server.url, timeout=0.2, max_attempts=1).get_media(1)
    over.set()


@pytest.mark.parametrize("media_id", ["a/b c%2F~é?#;:@&=+$,", "..a%41 [x]{}|\\^`\"<>'", 7])
def test_id_is_sent_unchanged(connect: Any, raw_server: Any, media_id: Any) -> None:
    from urllib.parse import quote

    server: RawServer = raw_server(lambda _: http_response(200, {"id": media_id}))
    assert connect(server.url).get_media(media_id).id == media_id
    assert server.lines == [f"GET /partner-gateway/v1/media/{quote(str(media_id), safe='')} HTTP/1.1"]


@pytest.mark.parametrize("host", ["http://media..example", f"http://{'a' * 64}.example"])
def test_invalid_host_name_is_rejected(connect: Any, host: str) -> None:
    with pytest.raises(MediaConfigurationError, match="is not a valid URL"):
        connect(host).get_media(1)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (
            "http://no-such-host.invalid",
            "could not resolve the host name of http://no-such-host.invalid; check",
        ),
        ("http://localhost:9", r"no connection to http://localhost:9 \(Connection refused\)"),
        ("https://127.0.0.1:9", r"no connection to https://127\.0\.0\.1:9 \(Connection refused\)"),
    ],
)
def test_unreachable_server_has_the_same_message(connect: Any, host: str, words: str) -> None:
    with pytest.raises(MediaUnavailableError, match=words):
        connect(host, max_attempts=1).get_media(1)

"""What proxies, gateways and other servers make of responses: the status decides first, then what can be read."""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._api import protocol
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaError,
    MediaNotFoundError,
    MediaRateLimitError,
    MediaRequestError,
    MediaResponseError,
    MediaUnavailableError,
)
from tests.contract.helpers.blocking import both_hooks
from tests.contract.helpers.raw_server import http_response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.helpers.raw_server import RawServer

PAGE = b"<html><body>Caf\xe9: an error page of a proxy</body></html>"
MEDIA = {"id": 7, "name": "a", "mimeType": "image/png", "size": 9, "url": "http://127.0.0.1/7"}
ERRORS: dict[int, type[MediaError]] = {
    401: MediaAuthError,
    403: MediaAuthError,
    404: MediaNotFoundError,
    413: MediaRequestError,
    429: MediaRateLimitError,
    500: MediaUnavailableError,
    502: MediaUnavailableError,
    503: MediaUnavailableError,
}


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def silent(status: int) -> Iterator[bytes]:
    yield f"HTTP/1.1 {status} Reason\r\nContent-Length: 500\r\n\r\n<html>".encode()
    threading.Event().wait(1)


def dripping(status: int) -> Iterator[bytes]:
    yield f"HTTP/1.1 {status} Reason\r\nContent-Length: 5000\r\n\r\n".encode()
    for _ in range(100):
        yield b" "
        threading.Event().wait(0.01)


ERROR_PAGES = {
    "plain": lambda status: http_response(status, PAGE, "Content-Type: text/html"),
    "gzip": lambda status: http_response(status, gzip.compress(PAGE), "Content-Encoding: gzip"),
    "half a gzip": lambda status: http_response(status, gzip.compress(PAGE)[:20], "Content-Encoding: gzip"),
    "brotli": lambda status: http_response(status, b"\x1b\x05\x00\xf8", "Content-Encoding: br"),
    "zstd": lambda status: http_response(status, b"\x28\xb5\x2f\xfd", "Content-Encoding: zstd"),
    "a bomb": lambda status: http_response(status, gzip.compress(bytes(60_000_000)), "Content-Encoding: gzip"),
    "utf-16": lambda status: http_response(
        status, "Fehler".encode("utf-16"), "Content-Type: text/html; charset=utf-16"
    ),
    "an unknown charset": lambda status: http_response(status, PAGE, "Content-Type: text/html; charset=latin-99"),
    "large": lambda status: http_response(status, b"x" * 40_000_000),
    "cut off": lambda status: http_response(status, PAGE).replace(b"Content-Length: ", b"Content-Length: 9"),
    "bad chunks": lambda status: f"HTTP/1.1 {status} No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
    "silent": silent,
    "dripping": dripping,
}


@both_hooks
@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("page", ERROR_PAGES.values(), ids=ERROR_PAGES)
def test_error_class_does_not_depend_on_the_body(
    connect: Any, raw_server: Any, monkeypatch: pytest.MonkeyPatch, page: Any, status: int
) -> None:
    monkeypatch.setattr("airflow_provider_media._transports.upload_connection.ERROR_BODY_SECONDS", 0.2)
    server: RawServer = raw_server(lambda _: page(status))
    hook = connect(server.url, max_attempts=2)
    with pytest.raises(ERRORS[status]) as caught:
        hook.get_media(7)
    assert caught.value.status == status
    assert len(server.heads) == (2 if status in {429, 500, 502, 503} else 1)
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


@both_hooks
@pytest.mark.parametrize("page", ERROR_PAGES.values(), ids=ERROR_PAGES)
def test_404_is_not_found_with_any_body(
    connect: Any, raw_server: Any, monkeypatch: pytest.MonkeyPatch, page: Any
) -> None:
    monkeypatch.setattr("airflow_provider_media._transports.upload_connection.ERROR_BODY_SECONDS", 0.2)
    server: RawServer = raw_server(lambda _: page(404))
    assert connect(server.url).exists(7) is False


@pytest.mark.parametrize("page", ERROR_PAGES.values(), ids=ERROR_PAGES)
def test_a_deletion_that_succeeded_needs_no_body(
    connect: Any, raw_server: Any, monkeypatch: pytest.MonkeyPatch, page: Any
) -> None:
    monkeypatch.setattr("airflow_provider_media._transports.upload_connection.ERROR_BODY_SECONDS", 0.2)
    server: RawServer = raw_server(lambda _: page(200))
    connect(server.url).delete(7)
    assert len(server.heads) == 1


def test_error_body_is_not_awaited(connect: Any, raw_server: Any) -> None:
    server: RawServer = raw_server(lambda _: dripping_slowly())
    started = time.monotonic()
    with pytest.raises(MediaAuthError, match="401"):
        connect(server.url, timeout=60).get_media(7)
    assert 4 < time.monotonic() - started < 15


def dripping_slowly() -> Iterator[bytes]:
    yield b"HTTP/1.1 401 No\r\nContent-Length: 5000\r\n\r\n"
    for _ in range(40):
        yield b" "
        threading.Event().wait(0.25)


@both_hooks
@pytest.mark.parametrize("status", [206, 101])
def test_partial_response_is_an_error(connect: Any, raw_server: Any, status: int) -> None:
    server: RawServer = raw_server(lambda _: http_response(status, MEDIA))
    with pytest.raises(MediaResponseError, match=f"HTTP {status}"):
        connect(server.url).get_media(7)
    assert len(server.heads) == 1


UNCHANGED = [b.decode() for b in (b"utf-8", b"none", b"identity", b"identity, identity", b"8bit", b"", b"aws-chunked")]


@both_hooks
@pytest.mark.parametrize("encoding", UNCHANGED)
def test_unknown_content_encoding_is_ignored(connect: Any, raw_server: Any, encoding: str) -> None:
    server: RawServer = raw_server(lambda _: http_response(200, MEDIA, f"Content-Encoding: {encoding}"))
    assert connect(server.url).get_media(7).size == 9


BODY = json.dumps(MEDIA).encode()
PACKED = {
    "gzip": (gzip.compress(BODY), "gzip"),
    "x-gzip": (gzip.compress(BODY), "X-GZip"),
    "two members": (gzip.compress(BODY[:20]) + gzip.compress(BODY[20:]), "gzip"),
    "padding": (gzip.compress(BODY) + bytes(20), "gzip"),
    "deflate": (zlib.compress(BODY), "deflate"),
    "raw deflate": (raw_deflate(BODY), "deflate"),
    "twice": (gzip.compress(gzip.compress(BODY)), "gzip, gzip"),
    "two": (gzip.compress(zlib.compress(BODY)), "deflate,gzip"),
    "gzip, identity": (gzip.compress(BODY), "gzip, identity"),
    "identity, gzip": (gzip.compress(BODY), "identity , gzip"),
    "unpacked by a proxy": (BODY, "gzip"),
    "unpacked deflate": (BODY, "deflate"),
}


@both_hooks
@pytest.mark.parametrize(("body", "encoding"), PACKED.values(), ids=PACKED)
def test_gzip_and_deflate_are_decompressed(connect: Any, raw_server: Any, body: bytes, encoding: str) -> None:
    server: RawServer = raw_server(lambda _: http_response(200, body, f"Content-Encoding: {encoding}"))
    assert connect(server.url).get_media(7).name == "a"


BROKEN = {
    "cut off": (gzip.compress(BODY)[:-9], "gzip", "truncated", 2),
    "corrupt": (gzip.compress(BODY)[:-8] + bytes(8), "gzip", r"cannot be decompressed \(gzip\)", 1),
    "a bomb": (gzip.compress(bytes(50_000_000)), "gzip", "larger than 32 MiB", 1),
    "a bomb in a bomb": (gzip.compress(gzip.compress(bytes(50_000_000))), "gzip, gzip", "larger than 32 MiB", 1),
    "raw bomb": (raw_deflate(bytes(50_000_000)), "deflate", "larger than 32 MiB", 1),
    "zstd": (b"\x28\xb5\x2f\xfd", "zstd", r"compressed \(zstd\), which was not requested", 1),
    "gzip, br": (b"\x28\xb5\x2f\xfd", "gzip, br", r"compressed \(br\), which was not requested", 1),
}


@both_hooks
@pytest.mark.parametrize(("body", "encoding", "words", "requests"), BROKEN.values(), ids=BROKEN)
def test_undecodable_body_is_an_error(
    connect: Any, raw_server: Any, body: bytes, encoding: str, words: str, requests: int
) -> None:
    server: RawServer = raw_server(lambda _: http_response(200, body, f"Content-Encoding: {encoding}"))
    with pytest.raises(MediaResponseError, match=words):
        connect(server.url, max_attempts=2).get_media(7)
    assert len(server.heads) == requests


EMPTY = [[], None, {"content": []}, {"content": None}, {"totalElements": 0}, {"items": None, "total": 0}, 204]


@pytest.mark.parametrize("empty", EMPTY, ids=str)
def test_a_new_accounts_first_upload_works(connect: Any, raw_server: Any, image: Path, empty: Any) -> None:
    """An empty library, in every form: list, upload in all ways, and the Test button."""
    stored: list[dict[str, Any]] = []

    def account(head: str) -> bytes:
        if head.startswith("POST"):
            stored[:] = [{**MEDIA, "name": "banner.png", "size": image.stat().st_size}]
            return http_response(201, stored[0])
        if "/media/7" in head:
            return http_response(200, stored[0]) if stored else http_response(404)
        if stored and "page=0" in head:
            return http_response(200, stored)
        return http_response(204) if empty == 204 else http_response(200, empty)

    hook = connect(raw_server(account).url)
    assert list(hook.iter_media()) == []
    assert hook.list_page().items == ()
    assert hook.find_media("banner.png") == []
    assert hook.test_connection()[0]
    for if_exists in ("upload", "reuse", "replace", "fail"):
        stored.clear()
        assert hook.upload(image, if_exists=if_exists).media.id == 7


@both_hooks
@pytest.mark.parametrize("charset", ["ISO-8859-15", "windows-1252", "UTF-16"])
def test_json_is_read_in_the_charset_of_its_content_type(connect: Any, raw_server: Any, charset: str) -> None:
    body = json.dumps({"data": {**MEDIA, "id": 7.0, "name": "Kaffee für 5 €"}}, ensure_ascii=False).encode(charset)
    server: RawServer = raw_server(
        lambda _: http_response(200, body, f"Content-Type: application/json; charset={charset}")
    )
    found = connect(server.url).get_media(7)
    assert (found.id, type(found.id), found.name) == (7, int, "Kaffee für 5 €")


def test_text_parts_that_are_not_ascii_name_their_charset(connect: Any, raw_server: Any, image: Path) -> None:
    bodies: list[bytes] = []
    library = [{**MEDIA, "name": "Kaffee für 5 €", "size": image.stat().st_size}]
    server: RawServer = raw_server(
        lambda head: http_response(201, library[0]) if head.startswith("POST") else http_response(200, []),
        bodies=bodies,
    )
    connect(server.url).upload(image, name="Kaffee für 5 €", description="plain")
    [body] = bodies
    parts = body.split(b"\r\n--")
    [name] = [part for part in parts if b'name="name"' in part]
    assert b"Content-Type: text/plain; charset=utf-8\r\n\r\nKaffee f\xc3\xbcr 5 \xe2\x82\xac" in name
    [description] = [part for part in parts if b'name="description"' in part]
    assert b"Content-Type" not in description


@both_hooks
def test_one_invalid_entry_of_a_list_is_skipped(
    connect: Any, raw_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    protocol._warn_of_skipped.cache_clear()
    odd = [{"name": "x"}, {"id": 2, "name": 5}, {"id": 3, "name": "b", "size": -1}, {"id": 4, "url": {}}]
    server: RawServer = raw_server(lambda head: http_response(200, [*odd, MEDIA] if "page=0" in head else []))
    hook = connect(server.url)
    for _ in range(2):
        assert [one.id for one in hook.iter_media()] == [7]
        assert [one.id for one in hook.find_media("a")] == [7]
    for name in ("b", "5", "x"):
        with pytest.raises(MediaResponseError, match=f"Invalid list entry '{name}'"):
            hook.find_media(name)
    warnings = [record.getMessage() for record in caplog.records if record.name.endswith("_api.protocol")]
    assert len(warnings) == 1
    assert warnings[0].startswith("Skipped 4 invalid entries of the media list: ")


@both_hooks
@pytest.mark.parametrize("total", [2, 4, 5, 0, -1, 99, "2", "x", None], ids=str)
def test_wrong_total_hides_no_file(connect: Any, raw_server: Any, total: Any) -> None:
    """The server ignores the limit and returns pages of two; its total counts the page, is capped, or is wrong."""

    def page(head: str) -> bytes:
        number = int(head.partition("page=")[2].partition("&")[0])
        entries = [{**MEDIA, "id": media_id, "name": f"file {media_id}"} for media_id in range(1, 8)]
        return http_response(200, {"content": entries[2 * number : 2 * number + 2], "totalElements": total})

    hook = connect(raw_server(page).url)
    assert [one.id for one in hook.iter_media()] == list(range(1, 8))
    assert [one.id for one in hook.find_media("file 7")] == [7]


@both_hooks
@pytest.mark.parametrize("rejections", [1, 2])
def test_single_401_after_success_is_retried_once(connect: Any, raw_server: Any, rejections: int) -> None:
    responses = iter([http_response(200, MEDIA), *[http_response(401, {"message": "no"})] * rejections])
    server: RawServer = raw_server(lambda _: next(responses, http_response(200, MEDIA)))
    hook = connect(server.url)
    hook.get_media(7)
    if rejections == 1:
        assert hook.get_media(7).id == 7
    else:
        with pytest.raises(MediaAuthError, match="401"):
            hook.get_media(7)
    assert len(server.heads) == 3


@both_hooks
def test_401_to_the_first_request_is_not_retried(connect: Any, raw_server: Any) -> None:
    server: RawServer = raw_server(lambda _: http_response(401, {"message": "no"}))
    with pytest.raises(MediaAuthError):
        connect(server.url).get_media(7)
    assert len(server.heads) == 1


@both_hooks
@pytest.mark.parametrize(
    ("header", "seconds"), [("86400", 300), ("300", 300), ("7", 7), ("Fri, 31 Dec 2038 23:59:59 GMT", 300)]
)
def test_retry_after_is_capped(connect: Any, raw_server: Any, header: str, seconds: float) -> None:
    server: RawServer = raw_server(lambda _: http_response(503, "", f"Retry-After: {header}"))
    with pytest.raises(MediaUnavailableError) as caught:
        connect(server.url, retry_budget=0).get_media(7)
    assert caught.value.retry_after == seconds


@both_hooks
@pytest.mark.parametrize(
    ("status", "is_transient"),
    [
        (408, True),
        (425, True),
        (429, True),
        (500, True),
        (502, True),
        (503, True),
        (504, True),
        (403, False),
        (407, False),
    ],
)
def test_transient_rejection_of_a_proxy_is_retried(
    connect: Any, raw_server: Any, status: int, *, is_transient: bool
) -> None:
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    proxy: RawServer = raw_server(lambda _: interim + http_response(status, "Not now."))
    hook = connect("https://media.example", proxy=proxy.url, max_attempts=2)
    words = f"Tunnel connection failed: {status}" if is_transient else "the proxy rejected the connection"
    with pytest.raises(MediaUnavailableError if is_transient else MediaConfigurationError, match=words):
        hook.get_media(7)
    assert [line.partition(" ")[0] for line in proxy.lines] == ["CONNECT"] * (2 if is_transient else 1)


IMPOSSIBLE_DATES = [
    f"Fri, 31 Dec {'9' * 20} 23:59:59 GMT",
    f"Fri, 31 Dec 2038 {'9' * 20}:59:59 GMT",
    f"Fri, 31 Dec 2038 23:59:59 +{'9' * 20}",
]


@both_hooks
@pytest.mark.parametrize("date", IMPOSSIBLE_DATES)
def test_impossible_date_is_ignored(connect: Any, raw_server: Any, date: str) -> None:
    limits = ("X-RateLimit-Remaining: 5", "X-RateLimit-Reset: 1900000000")
    server: RawServer = raw_server(lambda _: http_response(404, "", f"Retry-After: {date}", f"Date: {date}", *limits))
    with pytest.raises(MediaNotFoundError) as caught:
        connect(server.url).get_media(7)
    assert caught.value.retry_after is None


@both_hooks
@pytest.mark.parametrize("charset", ["cp500", "IBM037", "utf-7", "unicode_escape", "utf-16-be"])
@pytest.mark.parametrize("status", [200, 401])
def test_no_charset_reveals_the_api_key(connect: Any, raw_server: Any, charset: str, status: int) -> None:
    key = "sk<live>+4f5e6d7c8b9a"
    repeated = "".join(f"\\x{ord(letter):02x}" for letter in key).encode()
    body = repeated if charset == "unicode_escape" else f"\xe9 {key}".encode(charset)
    server: RawServer = raw_server(
        lambda _: http_response(status, body, f"Content-Type: text/plain; charset={charset}")
    )
    with pytest.raises(MediaError) as caught:
        connect(server.url, key).get_media(7)
    assert "***" in str(caught.value)
    assert key not in str(caught.value)


@both_hooks
def test_long_status_line_is_parsed(connect: Any, raw_server: Any) -> None:
    server: RawServer = raw_server(lambda _: http_response(404).replace(b"Reason", b"Reason" * 20_000))
    assert connect(server.url).exists(7) is False


NOT_HTTP = {
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", "b'SSH-2.0-OpenSSH_9.6'"),
    "a TLS alert": (b"\x15\x03\x01\x00\x02\x02\x46", r"b'\x15\x03\x01\x00\x02\x02F'"),
    "HTTP/2": (b"HTTP/2 404\r\n\r\n", "b'HTTP/2'"),
    "FTP": (b"220 Welcome\r\n", "b'220 Welcome'"),
    "a long line": (b"x" * 90 + b"\r\n", f"(b'{'x' * 40}')"),
    "the API key": (b"EHLO key-of-the-tests\r\n", "b'EHLO ***'"),
    "two lengths": (b"HTTP/1.1 200 Said\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "InvalidHeader"),
}


@both_hooks
@pytest.mark.parametrize(("response", "shown"), NOT_HTTP.values(), ids=NOT_HTTP)
def test_other_protocol_is_a_permanent_error_that_shows_the_first_bytes(
    connect: Any, raw_server: Any, response: bytes, shown: str
) -> None:
    server: RawServer = raw_server(lambda _: response)
    with pytest.raises(MediaResponseError, match=r"did not send an HTTP/1\.1 response .* check the base") as raised:
        connect(server.url, max_attempts=3).get_media(7)
    assert shown in str(raised.value)
    assert len(server.heads) == 1


@both_hooks
def test_causes_of_a_network_failure_are_logged_for_debugging_only(
    connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="airflow_provider_media._transports.sync")
    with pytest.raises(MediaUnavailableError) as raised:
        connect("http://127.0.0.1:9", max_attempts=1).get_media(7)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    [record] = [record for record in caplog.records if "Caused by: " in record.getMessage()]
    assert record.levelname == "DEBUG"
    assert "NewConnectionError" in record.getMessage()
    assert "Connection refused" in record.getMessage()


@both_hooks
def test_causes_in_the_debug_log_are_redacted(connect: Any, caplog: pytest.LogCaptureFixture, raw_server: Any) -> None:
    caplog.set_level("DEBUG", logger="airflow_provider_media._transports.sync")
    server: RawServer = raw_server(lambda _: b"EHLO key-of-the-tests\r\n")
    with pytest.raises(MediaResponseError):
        connect(server.url).get_media(7)
    with pytest.raises(MediaUnavailableError):
        connect("http://media.example", proxy="http://user:pass-word@127.0.0.1:9", max_attempts=1).get_media(7)
    assert caplog.text.count("Caused by: ") == 2
    assert "key-of-the-tests" not in caplog.text
    assert "pass-word" not in caplog.text


@both_hooks
def test_407_of_a_plain_http_proxy_is_named(connect: Any, raw_server: Any) -> None:
    proxy: RawServer = raw_server(lambda _: http_response(407))
    with pytest.raises(MediaRequestError, match="the proxy requires credentials"):
        connect("http://media.example", proxy=proxy.url).get_media(7)


@both_hooks
def test_a_proxy_of_another_protocol_is_named(connect: Any, raw_server: Any) -> None:
    proxy: RawServer = raw_server(lambda _: b"\x05\xff")
    with pytest.raises(MediaResponseError, match=r"or the proxy, did not send an HTTP/1\.1 response"):
        connect("https://media.example", proxy=proxy.url).get_media(7)

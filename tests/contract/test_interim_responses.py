"""A response belongs to its request: interim ones are skipped, and no connection with unread bytes is used again."""

from __future__ import annotations

import json
import re
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaError, MediaNotFoundError, MediaResponseError
from tests.contract.helpers.blocking import both_hooks
from tests.contract.helpers.raw_server import http_response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.helpers.raw_server import RawServer

INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.css>; rel=preload\r\n\r\n",
    "199": b"HTTP/1.1 199 Anything\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 102\n\n",
    "several": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" * 3,
}
EACH_INTERIM = pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)


def media(media_id: int, name: str = "banner.png", size: int = 5008) -> dict[str, Any]:
    url = f"http://127.0.0.1/{media_id}"
    return {"id": media_id, "name": name, "mimeType": "image/png", "size": size, "url": url}


def said(status: int, value: Any = "", *headers: str) -> bytes:
    return http_response(status, value, *headers, connection="keep-alive")


def library(head: str) -> bytes:
    """Respond like a library of the files 1 to 3 that accepts a fourth."""
    method, target, _ = head.split(" ", 2)
    found = re.search(r"/media/(\d+)", target)
    if method == "POST":
        return said(201, media(4))
    if not found:
        return said(200, [] if "page=1" in target else [media(3, "c"), media(2, "b"), media(1, "a")])
    if int(found[1]) > 4:
        return said(404, {"message": "no such file"})
    return said(204) if method == "DELETE" else said(200, media(int(found[1])))


def use(hook: Any, image: Path) -> None:
    """Use every method several times; each result must be that of its own request."""
    for media_id in (1, 9, 2, 3):
        assert hook.exists(media_id) is (media_id < 4)
    assert [hook.get_media(media_id).id for media_id in (3, 1, 2)] == [3, 1, 2]
    with pytest.raises(MediaNotFoundError):
        hook.get_media(77)
    assert [one.id for one in hook.iter_media()] == [3, 2, 1]
    if hasattr(hook, "upload"):
        assert hook.upload(image).media.id == 4
        hook.delete(2)
        with pytest.raises(MediaNotFoundError):
            hook.delete(77)
    assert hook.get_media(1).id == 1


@both_hooks
@EACH_INTERIM
def test_interim_responses_before_a_response_are_skipped(
    connect: Any, raw_server: Any, image: Path, interim: bytes
) -> None:
    server: RawServer = raw_server(lambda head: interim + library(head), keeps=True)
    use(connect(server.url), image)
    assert server.connections == 1


@EACH_INTERIM
def test_interim_responses_are_skipped_at_any_split(connect: Any, raw_server: Any, image: Path, interim: bytes) -> None:
    def divided(head: str) -> Iterator[bytes]:
        whole = interim + library(head)
        for start in range(0, len(interim) + 20, 7):
            yield whole[start : start + 7]
            threading.Event().wait(0.001)
        yield whole[start + 7 :]

    server: RawServer = raw_server(divided, keeps=True)
    use(connect(server.url), image)
    assert server.connections == 1


@both_hooks
@EACH_INTERIM
def test_an_interim_response_after_a_response_belongs_to_no_request(
    connect: Any, raw_server: Any, image: Path, interim: bytes
) -> None:
    server: RawServer = raw_server(lambda head: library(head) + interim, keeps=True)
    use(connect(server.url), image)


@both_hooks
@pytest.mark.parametrize(
    "unread",
    [said(200, media(3)), said(404, {"message": "other"}), b"\r\n", b"stray" * 9000],
    ids=["a response", "an error", "a line", "more than a buffer"],
)
def test_a_connection_with_unread_bytes_is_not_used_again(
    connect: Any, raw_server: Any, image: Path, unread: bytes
) -> None:
    server: RawServer = raw_server(lambda head: library(head) + unread, keeps=True)
    use(connect(server.url), image)
    assert server.connections > 1


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_unread_bytes_are_noticed_also_where_no_buffer_holds_them(
    connect: Any,
    raw_server: Any,
    certificate: tuple[Path, Path],
    tls: bool,  # noqa: FBT001
) -> None:
    def as_long_as_a_buffer(head: str) -> bytes:
        short = said(200, media(1), "X-Padding: ")
        whole = said(200, media(1), "X-Padding: " + "x" * (8192 - len(short)))
        return whole + said(404) if "/media/1 " in head else library(head)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server: RawServer = raw_server(as_long_as_a_buffer, keeps=True, context=context if tls else None)
    hook = connect(server.url, verify=str(certificate[0]))
    assert [hook.get_media(media_id).id for media_id in (1, 2, 3)] == [1, 2, 3]
    assert server.connections == 2


NO_CONTENT_WITH_CONTENT = {
    "length": b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n",
    "chunks": b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("head", NO_CONTENT_WITH_CONTENT.values(), ids=NO_CONTENT_WITH_CONTENT)
def test_a_connection_whose_204_announces_a_body_is_not_used_again(connect: Any, raw_server: Any, head: bytes) -> None:
    server: RawServer = raw_server(lambda said: head if said.startswith("DELETE") else library(said), keeps=True)
    hook = connect(server.url)
    hook.delete(2)
    assert hook.exists(1)
    assert server.connections == 2


@both_hooks
@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"101"])
def test_a_final_status_below_200_is_an_error_and_ends_the_connection(
    connect: Any, raw_server: Any, status: bytes
) -> None:
    replies = iter([b"HTTP/1.1 " + status + b"\r\nUpgrade: h2c\r\n\r\n"])
    server: RawServer = raw_server(lambda head: next(replies, library(head)), keeps=True)
    hook = connect(server.url, max_attempts=1)
    with pytest.raises(MediaError):
        hook.get_media(1)
    assert hook.get_media(2).id == 2
    assert server.connections == 2


@both_hooks
def test_connection_with_truncated_response_is_not_reused(connect: Any, raw_server: Any) -> None:
    body = json.dumps(media(3)).encode()
    replies = iter([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\nzz\r\n" % (len(body), body)])
    server: RawServer = raw_server(lambda head: next(replies, library(head)), keeps=True)
    hook = connect(server.url, max_attempts=1)
    with pytest.raises(MediaResponseError, match="truncated"):
        hook.get_media(3)
    assert hook.get_media(2).id == 2
    assert server.connections == 2


@pytest.mark.parametrize("count", [99, 101, 150, 1000])
@pytest.mark.parametrize("length", [10, 500])
def test_a_response_with_many_headers_is_read(connect: Any, raw_server: Any, count: int, length: int) -> None:
    headers = [f"X-Trace-{number}: {'x' * length}" for number in range(count)]
    server: RawServer = raw_server(lambda _: said(200, media(1), *headers), keeps=True)
    hook = connect(server.url)
    assert [hook.get_media(1).id, hook.get_media(1).id] == [1, 1]
    assert server.connections == 1


@pytest.mark.parametrize("length", [65_530, 70_000, 500_000])
def test_a_response_with_a_long_header_is_read(connect: Any, raw_server: Any, length: int) -> None:
    headers = [f"Content-Security-Policy: {'x' * length}", "X-Request-Id: abc-1"]
    server: RawServer = raw_server(lambda _: said(404, {"message": "gone"}, *headers))
    with pytest.raises(MediaNotFoundError) as caught:
        connect(server.url).get_media(1)
    assert caught.value.request_id == "abc-1"


@pytest.mark.parametrize("line", ["X: " + "x" * 2_000_000, "\r\n".join(["X: y"] * 300_000)], ids=["long", "many"])
def test_headers_without_end_are_a_permanent_error_that_names_them(connect: Any, raw_server: Any, line: str) -> None:
    server: RawServer = raw_server(lambda _: said(200, media(1), line))
    with pytest.raises(MediaResponseError, match="the response headers exceed 1 MiB"):
        connect(server.url).get_media(1)
    assert len(server.heads) == 1

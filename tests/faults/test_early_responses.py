"""A response during a large body is read, over HTTP and TLS, and the file is not sent repeatedly."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import struct
import time

import pytest

from airflow_provider_media._upload import source
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaRequestError,
    MediaResponseError,
    MediaUnavailableError,
)

ERRORS = {400: MediaRequestError, 401: MediaAuthError, 403: MediaAuthError, 413: MediaRequestError}
# The key was accepted for the list, so that a 401 may be a gateway's mistake and is retried once.
POSTS = {400: 1, 401: 2, 403: 1, 413: 1}
PROTOCOLS = pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])


def refuse(status: int, *headers: str):
    return lambda exchange: exchange.respond(status, {"message": "no, thank you"}, *headers)


@PROTOCOLS
@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("read_first", [1, 3_000_000])
def test_early_rejection_is_read_from_a_lingering_server(raw_server, hook_for, big_file, tls, status, read_first):
    def on_post(exchange):
        exchange.read(read_first)
        time.sleep(0.3)  # until all buffers are full and the client waits
        refuse(status)(exchange)
        wait_until_the_client_leaves(exchange.sock)

    server = raw_server(on_post, tls=tls)
    started = time.monotonic()
    with pytest.raises(ERRORS[status], match="no, thank you") as caught:
        hook_for(server.base_url, timeout=10).upload(big_file)
    assert time.monotonic() - started < 8  # not only when the time is out
    assert caught.value.status == status
    assert len(server.posts) == POSTS[status]
    assert len(server.posts[0].received) < big_file.stat().st_size


def wait_until_the_client_leaves(sock: socket.socket) -> None:
    """Read nothing; a client that leaves resets the connection, which shows as an error of the socket."""
    for _ in range(1500):
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return
        time.sleep(0.01)


@PROTOCOLS
@pytest.mark.parametrize("status", ERRORS)
def test_early_rejection_is_read_after_a_clean_close(raw_server, hook_for, big_file, tls, status):
    def on_post(exchange):
        exchange.read(1000)
        refuse(status, "Connection: close")(exchange)
        exchange.hang_up_politely()

    server = raw_server(on_post, tls=tls)
    with pytest.raises(ERRORS[status], match="no, thank you"):
        hook_for(server.base_url).upload(big_file)
    assert len(server.posts) == POSTS[status]
    assert len(server.posts[0].received) < big_file.stat().st_size


class SlowSource(io.BytesIO):
    """A source slower than the line, so that the client never has to wait for room to send."""

    def readinto(self, buffer):
        time.sleep(0.01)
        return super().readinto(buffer)


@PROTOCOLS
def test_early_rejection_is_read_with_a_slow_source(raw_server, hook_for, big_file, tls):
    def on_post(exchange):
        exchange.read(1000)
        refuse(413)(exchange)
        exchange.drain()

    server = raw_server(on_post, tls=tls)
    source = SlowSource(big_file.read_bytes())
    with pytest.raises(MediaRequestError, match="no, thank you"):
        hook_for(server.base_url).upload(source, name="big.mp4")
    assert source.tell() < big_file.stat().st_size / 2


@PROTOCOLS
def test_file_is_not_resent_after_rejection_and_reset(raw_server, hook_for, big_file, tls):
    def on_post(exchange):
        exchange.read(1000)
        refuse(413, "Connection: close")(exchange)
        exchange.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        exchange.sock.close()

    server = raw_server(on_post, tls=tls)
    # A reset may overtake the response in the kernel; then the next attempt reads it.
    with pytest.raises((MediaRequestError, MediaUnavailableError)):
        hook_for(server.base_url).upload(big_file)
    assert len(server.posts) <= 3
    assert sum(len(post.received) for post in server.posts) < big_file.stat().st_size / 4


def test_tls_session_tickets_are_not_a_response(raw_server, hook_for, big_file):
    def on_post(exchange):
        exchange.read_all()
        exchange.respond(201, {"id": 8, "size": big_file.stat().st_size, "url": "http://127.0.0.1/8"})

    server = raw_server(on_post, tls=True)
    transport = hook_for(server.base_url).get_conn()
    reply = transport.send(an_upload_of(big_file))  # the first request of the connection, so that tickets are unread
    assert reply.status == 201
    assert server.posts[0].is_whole


def an_upload_of(path):
    from airflow_provider_media._api.protocol import build_upload
    from airflow_provider_media._upload.source import open_source
    from airflow_provider_media._upload.spec import prepare_upload

    return build_upload(prepare_upload(open_source(path)))


@PROTOCOLS
def test_connection_with_incomplete_body_is_not_reused(raw_server, hook_for, big_file, tls):
    def on_post(exchange):
        exchange.read(1000)
        exchange.respond(400, {"message": "no"})  # keeps the connection, as if the body had come
        exchange.drain()

    server = raw_server(on_post, tls=tls)
    hook = hook_for(server.base_url, max_attempts=1)
    with pytest.raises(MediaRequestError):
        hook.upload(big_file)
    assert [media.id for media in hook.iter_media()] == [7]  # in the rest of a body it would go unanswered


def says_that_it_is_stored(listed: list, size: int, known: dict):
    """Respond early that the whole file is stored; the library returns the given file."""

    def on_post(exchange):
        exchange.read(1000)
        listed.append({"id": 8, "name": "big.mp4", "mimeType": "video/mp4", "url": "http://127.0.0.1/8", **known})
        exchange.respond(201, {"id": 8, "size": size, "url": "http://127.0.0.1/8"})
        exchange.drain()

    return on_post


@PROTOCOLS
@pytest.mark.parametrize("known", [{"size": 1000}, {}], ids=["a part of it", "of unknown size"])
def test_early_success_is_not_a_stored_file(raw_server, hook_for, big_file, tls, known):
    listed: list = []
    server = raw_server(says_that_it_is_stored(listed, big_file.stat().st_size, known), tls=tls)
    server.listed = listed
    shown = f"{known['size']} bytes" if known else "no size"
    with pytest.raises(MediaResponseError, match=rf"stored as 8, but the library shows {shown}"):
        hook_for(server.base_url).upload(big_file)
    assert len(server.posts) == 1
    assert len(server.posts[0].received) < big_file.stat().st_size


@PROTOCOLS
def test_early_success_counts_if_the_library_has_the_whole_file(raw_server, hook_for, big_file, tls):
    listed: list = []
    size = big_file.stat().st_size
    server = raw_server(says_that_it_is_stored(listed, size, {"size": size}), tls=tls)
    server.listed = listed
    assert hook_for(server.base_url).upload(big_file).media.id == 8
    assert len(server.posts) == 1


HIDDEN_FOR_REQUESTS = 5  # more than one lookup makes


class LateList(list):
    """The library's files; the list shows them only after several requests."""

    requests = 0

    def __reversed__(self):
        self.requests += bool(self)
        return super().__reversed__() if self.requests > HIDDEN_FOR_REQUESTS else iter(())


UNREADABLE = {
    "br": b"\x0b\x02\x80{}\x03",
    "zstd": b"\x28\xb5\x2f\xfd\x04\x00",
    "compress": b"\x1f\x9d",
    "gzip": gzip.compress(b'{"id": 8}')[:-9],  # truncated
    "deflate": b"corrupt",
    "identity": b"<html>",
}


@PROTOCOLS
@pytest.mark.parametrize("encoding", UNREADABLE)
def test_early_unreadable_success_is_found_when_the_library_shows_it(
    raw_server, hook_for, big_file, monkeypatch, tls, encoding
):
    monkeypatch.setattr("airflow_provider_media._upload.flow._FIRST_LOOKUP_DELAY_SECONDS", 0.02)
    body = UNREADABLE[encoding]

    def on_post(exchange):
        exchange.read(1000)
        size = big_file.stat().st_size
        listed.append({"id": 8, "name": "big.mp4", "mimeType": "video/mp4", "url": "http://127.0.0.1/8", "size": size})
        head = f"HTTP/1.1 201 Created\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
        exchange.sock.sendall(head.encode() + body)
        exchange.drain()

    server = raw_server(on_post, tls=tls)
    server.listed = listed = LateList()
    assert hook_for(server.base_url, settle_seconds=20).upload(big_file).media.id == 8
    assert len(server.posts) == 1


@PROTOCOLS
def test_upload_does_not_time_out_while_data_is_flowing(raw_server, hook_for, tmp_path, tls):
    path = tmp_path / "slow.gif"
    path.write_bytes(b"GIF89a" + bytes(900_000))

    def on_post(exchange):
        while not exchange.is_whole:
            exchange.read(len(exchange.received) + 15_000)
            time.sleep(0.05)  # 300 KB a second
        exchange.respond(201, {"id": 8, "size": path.stat().st_size, "url": "http://127.0.0.1/8"})

    server = raw_server(on_post, tls=tls, receive_buffer=8192)
    started = time.monotonic()
    # Each block of the body takes longer than either time-out.
    result = hook_for(server.base_url, timeout=1.2, connect_timeout=0.6).upload(path)
    assert result.media.id == 8
    assert time.monotonic() - started > 1.5
    assert len(server.posts) == 1


@PROTOCOLS
def test_content_is_hashed_while_a_slow_line_takes_it(raw_server, hook_for, tmp_path, monkeypatch, tls):
    path = tmp_path / "slow.gif"
    path.write_bytes(b"GIF89a" + os.urandom(9_000_000))
    monkeypatch.setattr(source, "_RECENT_SECONDS", 0)  # so that a digest may stay incomplete

    def on_post(exchange):
        exchange.read(1000)
        time.sleep(0.1)  # until the buffers are full
        while not exchange.is_whole:
            exchange.read(len(exchange.received) + 500_000)
            time.sleep(0.01)
        exchange.respond(201, {"id": 8, "size": path.stat().st_size, "url": "http://127.0.0.1/8"})

    server = raw_server(on_post, tls=tls, receive_buffer=8192)
    request = an_upload_of(path)
    digests: list[str] = []
    request.upload.source.on_hashed = digests.append
    hook = hook_for(server.base_url)
    hook.get_conn().send(request)
    assert digests == [hashlib.sha256(path.read_bytes()).hexdigest()]


@PROTOCOLS
def test_stalled_upload_times_out(raw_server, hook_for, big_file, tls):
    server = raw_server(lambda exchange: wait_until_the_client_leaves(exchange.sock), tls=tls)
    started = time.monotonic()
    with pytest.raises(MediaUnavailableError, match="timed out after 1 s without data"):
        hook_for(server.base_url, timeout=1, max_attempts=1).upload(big_file)
    assert time.monotonic() - started < 10
    assert len(server.posts) == 1


@PROTOCOLS
@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ],
    ids=["100", "102", "103"],
)
def test_interim_response_is_not_a_result(raw_server, hook_for, big_file, tls, interim):
    """A client must be able to take one at any time (RFC 9110, 15.2)."""

    def on_post(exchange):
        for part in (interim[:9], interim[9:]):
            exchange.sock.sendall(part)
            exchange.read(len(exchange.received) + 1_000_000)
        exchange.read_all()
        if exchange.is_whole:
            exchange.respond(201, {"id": 8, "size": big_file.stat().st_size, "url": "http://127.0.0.1/8"})

    server = raw_server(on_post, tls=tls)
    assert hook_for(server.base_url, timeout=5).upload(big_file).media.id == 8
    assert len(server.posts) == 1

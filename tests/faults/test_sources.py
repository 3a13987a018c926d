"""A source that is not what was measured is our own error, at once, and nothing half-sent can pass for a whole file."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading

import pytest

from airflow_provider_media.exceptions import MediaFileError

PROTOCOLS = pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
GIF = b"GIF89a"


def store(exchange):
    exchange.read_all()
    if exchange.is_whole:
        exchange.respond(201, {"id": 8, "url": "http://127.0.0.1/8", "size": file_part_size(exchange)})


def file_part_size(exchange) -> int:
    return len(file_part(exchange))


def file_part(exchange) -> bytes:
    """Cut the file out of a multipart body: what follows the header of the last part, the one with a file name."""
    boundary = exchange.headers["content-type"].partition("boundary=")[2].encode()
    from_header = bytes(exchange.received).partition(b'filename="')[2]
    return from_header.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n--" + boundary + b"--\r\n")


def store_after(exchange, act):
    """Let the transfer begin, then do something to its source, then read on."""
    exchange.read(1_000_000)
    act()
    store(exchange)


@PROTOCOLS
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda path: os.truncate(path, 5_000_000), "changed|shorter"),
        (lambda path: os.truncate(path, 80_000_000), "changed"),
        (lambda path: os.utime(path, (1, 1)), "changed"),
    ],
    ids=["shrinks", "grows", "is rewritten"],
)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_file_that_changes_while_it_is_sent_is_not_stored(
    raw_server, hook_for, big_file, change, reason, scheme, tls
):
    server = raw_server(lambda exchange: store_after(exchange, lambda: change(big_file)), tls=tls)
    with pytest.raises(MediaFileError, match=reason):
        hook_for(server.base_url).upload(f"{scheme}{big_file}")
    assert len(server.posts) == 1
    assert not server.posts[0].is_whole


@PROTOCOLS
def test_a_file_that_is_replaced_between_two_attempts_is_not_sent(raw_server, hook_for, tmp_path, tls):
    path = tmp_path / "image.gif"
    path.write_bytes(GIF + b"first")

    def on_post(exchange):
        exchange.read_all()
        other = tmp_path / "other"
        other.write_bytes(GIF + b"other")
        other.replace(path)
        exchange.respond(503, {"message": "later"})

    server = raw_server(on_post, tls=tls)
    with pytest.raises(MediaFileError, match="changed"):
        hook_for(server.base_url).upload(path)
    assert [post.is_whole for post in server.await_posts(2)] == [True, False]  # the second ends before its first byte


class Unreadable(io.BytesIO):
    """A seekable file object whose reading fails after a while."""

    def __init__(self, error: Exception) -> None:
        super().__init__(GIF + bytes(5_000_000))
        self.error = error

    def readinto(self, buffer):
        if self.tell() > 1_000_000:
            raise self.error
        return super().readinto(buffer)


@PROTOCOLS
@pytest.mark.parametrize("number", [errno.EIO, errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT])
def test_a_read_error_is_not_taken_for_a_broken_connection(raw_server, hook_for, number, tls):
    server = raw_server(store, tls=tls)
    with pytest.raises(MediaFileError, match="reading it failed"):
        hook_for(server.base_url).upload(Unreadable(OSError(number, os.strerror(number))), name="a.gif")
    assert len(server.posts) == 1
    assert not server.posts[0].is_whole


class Lying(io.BytesIO):
    """A file object that holds more, or less, than seeking told."""

    def __init__(self, told: int, held: int) -> None:
        super().__init__(GIF + bytes(held - len(GIF)))
        self.told = told

    def seek(self, offset, whence=0):
        return self.told if whence == os.SEEK_END else super().seek(offset, whence)


@PROTOCOLS
@pytest.mark.parametrize(("told", "reason"), [(2_000_000, "shorter"), (500_000, "grew")])
def test_a_file_object_that_does_not_hold_what_it_told_is_not_stored(raw_server, hook_for, told, reason, tls):
    server = raw_server(store, tls=tls)
    with pytest.raises(MediaFileError, match=reason):
        hook_for(server.base_url).upload(Lying(told, held=1_000_000), name="a.gif")
    assert len(server.posts) == 1
    assert not server.posts[0].is_whole


def refuse_first(refusals: int, status: int):
    """Refuse some uploads, having read them; store the next."""
    left = [refusals]

    def on_post(exchange):
        if left[0]:
            left[0] -= 1
            exchange.read_all()
            exchange.respond(status, {"message": "later"})
        else:
            store(exchange)

    return on_post


@PROTOCOLS
def test_a_file_object_is_sent_from_where_it_stands_each_time(raw_server, hook_for, tls):
    server = raw_server(refuse_first(2, 503), tls=tls)
    stream = io.BytesIO(b"something before it " + GIF + bytes(range(256)) * 3000)
    stream.seek(20)
    hook_for(server.base_url).upload(stream, name="a.gif")
    assert [GIF + bytes(range(256)) * 3000] * 3 == [file_part(post) for post in server.posts]


@PROTOCOLS
@pytest.mark.parametrize("size", [1_000, 3_000_000], ids=["kept in memory", "spooled to disk"])
def test_what_can_be_read_only_once_is_still_sent_twice(raw_server, hook_for, size, tls):
    content = GIF + os.urandom(size)
    reader, writer = os.pipe()

    def write():
        with os.fdopen(writer, "wb") as stream:
            stream.write(content)

    threading.Thread(target=write).start()
    server = raw_server(refuse_first(1, 503), tls=tls)
    with os.fdopen(reader, "rb") as stream:
        hook_for(server.base_url).upload(stream, name="a.gif")
    assert [hashlib.sha256(content).digest()] * 2 == [hashlib.sha256(file_part(post)).digest() for post in server.posts]


@PROTOCOLS
def test_the_body_on_the_wire_is_the_file(raw_server, hook_for, tmp_path, tls):
    path = tmp_path / "image.gif"
    path.write_bytes(GIF + b"\r\n\r\n" + os.urandom(3_000_001))
    server = raw_server(store, tls=tls)
    hook_for(server.base_url).upload(path)
    assert path.read_bytes() == file_part(server.posts[0])

"""Invalid and endless responses raise errors; the library shows whether the upload succeeded."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import time

import pytest

from airflow_provider_media.exceptions import MediaResponseError, MediaUnavailableError

PROTOCOLS = pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
PNG = b"\x89PNG\r\n\x1a\n" + bytes(500)
STORED = {"id": 8, "name": "a.png", "mimeType": "image/png", "size": len(PNG), "url": "http://127.0.0.1/8"}
NONSENSE = {
    "HTML": b"<html><body>Please log in</body></html>",
    "truncated JSON": b'{"id": 8, "na',
    "nothing": b"",
    "a number": b"42",
    "no id": b'{"name": "a.png", "size": 508}',
    "an id of a wrong type": b'{"id": {"a": 1}}',
    "deep nesting": b"[" * 100_000,
    "no text": bytes(range(128, 256)),
}


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    return path


def send_raw(exchange, body: bytes, *headers: str) -> None:
    head = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    exchange.sock.sendall("\r\n".join([*head, "", ""]).encode() + body)


def library_responding_with(body: bytes, stored: list, *, stores: bool):
    def on_post(exchange):
        exchange.read_all()
        if stores:
            stored.append(STORED)
        send_raw(exchange, body)

    return on_post


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_invalid_response_without_a_stored_file_is_an_error(raw_server, hook_for, image, body):
    server = raw_server(library_responding_with(body, [], stores=False))
    with pytest.raises(MediaResponseError, match="invalid response") as caught:
        hook_for(server.base_url).upload(image)
    assert len(server.posts) == 1
    assert len(str(caught.value)) < 700
    excerpt = body[:10].decode("ascii", "ignore").strip()
    assert not excerpt or excerpt in str(caught.value)


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_invalid_response_with_a_stored_file_makes_no_duplicate(raw_server, hook_for, image, body):
    stored: list = []
    server = raw_server(library_responding_with(body, stored, stores=True))
    server.listed = stored
    result = hook_for(server.base_url).upload(image)
    assert result.media.id == 8
    assert len(server.posts) == 1


def test_compressed_response_is_decompressed_up_to_a_limit(raw_server, hook_for, image):
    bomb = gzip.compress(json.dumps({"id": 8, "padding": "x" * 50_000_000}).encode())

    def on_post(exchange):
        exchange.read_all()
        send_raw(exchange, bomb, "Content-Encoding: gzip")

    server = raw_server(on_post)
    with pytest.raises(MediaResponseError, match="larger than 32 MiB"):
        hook_for(server.base_url).upload(image)
    assert [post.headers["accept-encoding"] for post in server.posts] == ["identity"]


def test_endless_response_is_read_up_to_a_limit(raw_server, hook_for, image):
    sent = []

    def on_post(exchange):
        exchange.read_all()
        exchange.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for _ in range(1000):
            exchange.sock.sendall(b" " * 65536)
            sent.append(65536)

    server = raw_server(on_post)
    with pytest.raises(MediaResponseError, match="larger than 32 MiB"):
        hook_for(server.base_url).upload(image)
    assert sum(sent) < 60_000_000
    assert len(server.posts) == 1


def test_dripping_response_times_out(raw_server, hook_for, image):
    def on_post(exchange):
        exchange.read_all()
        exchange.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for _ in range(1500):
            exchange.sock.sendall(b" ")
            time.sleep(0.02)

    server = raw_server(on_post)
    started = time.monotonic()
    with pytest.raises(MediaResponseError, match="timed out reading the body"):
        hook_for(server.base_url, timeout=0.6).upload(image)
    assert time.monotonic() - started < 15
    assert len(server.posts) == 1


@PROTOCOLS
@pytest.mark.parametrize(
    ("start", "drip"),
    [(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"HTTP/1.1 200 OK\r\nX: ", b"a")],
    ids=["endless interim responses", "an endless header"],
)
def test_dripping_response_head_times_out(raw_server, hook_for, image, tls, start, drip):
    def on_post(exchange):
        exchange.read_all()
        exchange.sock.sendall(start)
        for _ in range(2000):
            exchange.sock.sendall(drip)
            time.sleep(0.02)

    server = raw_server(on_post, tls=tls)
    started = time.monotonic()
    with pytest.raises(MediaUnavailableError, match="without data from"):
        hook_for(server.base_url, timeout=0.5, max_attempts=1).upload(image)
    assert time.monotonic() - started < 20
    assert len(server.posts) == 1


def test_key_in_an_invalid_response_is_in_no_log_and_error(raw_server, hook_for, image, caplog):
    caplog.set_level(logging.DEBUG)
    key = "sk-live-4f5e6d7c8b9a"

    def on_post(exchange):
        exchange.read_all()
        send_raw(exchange, f"<html>your key {key}</html>".encode())

    with pytest.raises(MediaResponseError, match="your key \\*\\*\\*") as caught:
        hook_for(raw_server(on_post).base_url, key=key).upload(image)
    assert key not in str(caught.value)
    assert "your key ***" in caplog.text
    assert key not in caplog.text


def test_garbage_over_tls_is_not_a_configuration_error(raw_server, hook_for, image):
    def on_post(exchange):
        exchange.read_all()
        server.listed.append(STORED)
        socket.socket.sendall(exchange.sock, b"HTTP/1.1 502 Bad Gateway\r\n\r\n")  # not encrypted

    server = raw_server(on_post, tls=True)
    assert hook_for(server.base_url).upload(image).media.id == STORED["id"]
    assert len(server.posts) == 1

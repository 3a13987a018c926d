"""TLS proxies, sessions after early responses, one rate limiter per process, and secrets."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from airflow_provider_media.exceptions import MediaConfigurationError, MediaRequestError, MediaUnavailableError

GIF = b"GIF89a" + bytes(range(256)) * 4000
STORED = {"id": 8, "name": "a.gif", "mimeType": "image/gif", "size": len(GIF), "url": "http://127.0.0.1/8"}


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(GIF)
    return path


def store(exchange):
    exchange.read_all()
    exchange.respond(201, STORED)


def pump(source, target):
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def tls_proxy(certificate):
    """A proxy that is itself spoken to over TLS, and tunnels."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    open_sockets = []

    def serve(sock):
        with suppress(OSError):
            client = context.wrap_socket(sock, server_side=True)
            open_sockets.append(client)
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            host, _, port = head.split()[1].decode().partition(":")
            target = socket.create_connection((host, int(port)))
            open_sockets.append(target)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=pump, args=(target, client), daemon=True).start()
            pump(client, target)

    def accept():
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                open_sockets.append(sock)
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    for sock in open_sockets:
        sock.close()


def test_upload_through_a_tls_proxy_is_complete(raw_server, hook_for, tls_proxy, image, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    server = raw_server(store, tls=True)
    assert hook_for(server.base_url, proxy=tls_proxy).upload(image).media.id == 8
    (post,) = server.posts
    assert GIF in bytes(post.received)


def test_session_is_reusable_after_an_early_response(raw_server, hook_for, big_file, image):
    connections = []

    def on_post(exchange):
        connections.append(exchange.sock)
        if len(connections) == 1:
            exchange.read(1000)
            exchange.respond(413, {"message": "too large"}, "Connection: close")
            exchange.hang_up_politely()
        else:
            store(exchange)

    server = raw_server(on_post)
    hook = hook_for(server.base_url)
    with pytest.raises(MediaRequestError):
        hook.upload(big_file)
    for _ in range(4):
        hook.upload(image)
    assert len(set(connections)) == 2  # one that was cut short, one for all that followed


def test_hooks_of_a_process_share_one_rate_limiter(raw_server, hook_for):
    server = raw_server(store)
    hooks = [hook_for(server.base_url, requests_per_second=4) for _ in range(4)]
    for hook in hooks:
        hook.list_page()  # what is done only once is not to be measured
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: hooks[number % 4].list_page(), range(9)))
    assert time.monotonic() - started >= 8 / 4  # separate limiters would take less than one second


def test_response_with_the_characters_of_a_short_key_is_unchanged(raw_server, hook_for, image):
    server = raw_server(store)
    server.listed = [{**STORED, "name": "summer-banner.gif"}]
    hook = hook_for(server.base_url, key="summer")
    result = hook.upload(image, name="summer-banner.gif", if_exists="reuse")
    assert (result.created, result.media.name) == (False, "summer-banner.gif")


def traceback_text(error: BaseException | None) -> str:
    """Return what a traceback of the error shows, causes included."""
    text = ""
    while error:
        text += f"{error} {error!r} "
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return text


@pytest.mark.parametrize("port", ["99999", "x"])
def test_proxy_with_invalid_port_is_rejected_without_its_password(hook_for, port):
    with pytest.raises(MediaConfigurationError, match="'proxy'") as caught:
        hook_for("https://127.0.0.1:9", proxy=f"http://user:s3cr3t@127.0.0.1:{port}").list_page()
    assert "s3cr3t" not in traceback_text(caught.value)


def test_unreachable_proxy_is_the_cause(hook_for):
    with pytest.raises(MediaUnavailableError, match="through the proxy") as caught:
        hook_for("https://127.0.0.1:9", proxy="http://user:s3cr3t@127.0.0.1:9", max_attempts=1).list_page()
    assert "s3cr3t" not in traceback_text(caught.value)

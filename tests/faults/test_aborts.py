"""A transfer that is cancelled ends promptly, whenever the cancelling comes."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import pytest

from airflow_provider_media._transports.upload_connection import Transfer
from airflow_provider_media.exceptions import MediaError

PROTOCOLS = pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])


@PROTOCOLS
def test_transfer_waiting_to_send_is_aborted(raw_server, hook_for, big_file, tls):
    came = threading.Event()
    over = threading.Event()

    def on_post(exchange):
        came.set()
        over.wait(20)

    server = raw_server(on_post, tls=tls)
    hook = hook_for(server.base_url, timeout=20)

    def cancel():
        came.wait(10)
        hook.cancel()

    threading.Thread(target=cancel).start()
    started = time.monotonic()
    with pytest.raises(MediaError, match="was stopped"):
        hook.upload(big_file)
    over.set()
    assert time.monotonic() - started < 5
    assert len(server.posts) == 1


def test_wait_before_a_retry_is_aborted(raw_server, hook_for, big_file):
    def on_post(exchange):
        exchange.respond(503, {"message": "later"}, "Retry-After: 30")
        threading.Timer(0.1, hook.cancel).start()

    server = raw_server(on_post)
    hook = hook_for(server.base_url)
    started = time.monotonic()
    with pytest.raises(MediaError, match="was stopped"):
        hook.upload(big_file)
    assert time.monotonic() - started < 5


@PROTOCOLS
def test_cancel_during_connect_is_not_missed(raw_server, hook_for, monkeypatch, tls):
    server = raw_server(lambda exchange: None, tls=tls)
    hook = hook_for(server.base_url, timeout=20)
    transport = hook.get_conn()
    connect = Transfer.connect

    def connect_and_cancel(*args):
        transport.cancel()  # as a signal's handler does, at the worst moment: there is nothing to shut down yet
        return connect(*args)

    monkeypatch.setattr(Transfer, "connect", connect_and_cancel)
    started = time.monotonic()
    with pytest.raises(MediaError, match="was stopped"):
        hook.list_page()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("full", [False, True], ids=["says nothing", "takes no connection"])
def test_pending_connect_is_aborted_immediately(hook_for, scheme, full):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as stack:
        address = server.getsockname()
        for _ in range(4 if full else 0):  # which the kernel accepts in its place
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        hook = hook_for(f"{scheme}://127.0.0.1:{address[1]}", timeout=20, connect_timeout=20)
        timer = threading.Timer(0.3, hook.cancel)
        timer.start()
        started = time.monotonic()
        with pytest.raises(MediaError, match="was stopped"):
            hook.list_page()
        timer.join()
        assert 0.2 < time.monotonic() - started < 5

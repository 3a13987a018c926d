"""The retry budget bounds an upload: silence counts, bytes that move do not."""

from __future__ import annotations

import time

import pytest

from airflow_provider_media.exceptions import MediaUnavailableError

PROTOCOLS = pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
STORED = {"id": 8, "size": 64 * 1024 * 1024, "url": "http://127.0.0.1/8"}


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 200)
    return path


@PROTOCOLS
def test_silent_server_is_abandoned_with_the_budget(raw_server, hook_for, image, tls):
    def on_post(exchange):
        exchange.read_all()
        exchange.drain()

    server = raw_server(on_post, tls=tls)
    hook = hook_for(server.base_url, timeout=0.25, retry_budget=1.2, max_attempts=20)
    with pytest.raises(MediaUnavailableError, match=r"timed out after 0\.25 s without data"):
        hook.upload(image)
    assert 2 <= len(server.posts) <= 6


@PROTOCOLS
def test_long_transfer_does_not_use_up_the_budget(raw_server, hook_for, big_file, tls):
    def on_post(exchange):
        exchange.read(1024 * 1024)
        time.sleep(0.5)
        exchange.read_all()
        if len(server.posts) < 4:
            exchange.respond(503, {"message": "later"})
        else:
            exchange.respond(201, STORED)

    server = raw_server(on_post, tls=tls)
    hook = hook_for(server.base_url, retry_budget=1, max_attempts=9)
    assert hook.upload(big_file).media.id == 8
    assert len(server.posts) == 4


@PROTOCOLS
def test_server_that_becomes_silent_is_abandoned_in_time(raw_server, hook_for, image, tls):
    def on_post(exchange):
        exchange.read_all()
        server.lists = False
        exchange.drain()

    server = raw_server(on_post, tls=tls)
    hook = hook_for(server.base_url, timeout=0.25, settle_seconds=3, retry_budget=2, max_attempts=9)
    hook.list_page()
    started = time.monotonic()
    with pytest.raises(MediaUnavailableError, match=r"upload 'image.png'.* timed out after 0\.25 s without data"):
        hook.upload(image)
    # A timeout for the file, the settling time, a timeout for the last lookup: 3.5 s on an idle machine.
    assert time.monotonic() - started < 12
    assert len(server.posts) == 1
    # Eight use up the budget, then one each time: with a separate budget, the second lookup would be eight again.
    assert 3 <= server.unanswered <= 12

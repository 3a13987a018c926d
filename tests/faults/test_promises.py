"""Each fault of a server, over HTTP and over TLS: how many POSTs it sees, how many files there are, and their bytes."""

from __future__ import annotations

import hashlib
import math
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest
import requests

from airflow_provider_media.exceptions import MediaResponseError, MediaUnavailableError
from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 200
POST = {"method": "POST"}
STATUS = {**POST, "fault": "status"}
LOST = {**POST, "fault": "store_then_drop"}

# Each: the faults in their order, and how many POSTs the server sees. The files are always one.
FAULTS = {
    "429, no wait told": ([{**STATUS, "status": 429, "body": {"message": "slow down"}}], 2),
    "408": ([{**STATUS, "status": 408}], 2),
    "500": ([{**STATUS, "status": 500}], 2),
    "502": ([{**STATUS, "status": 502}], 2),
    "503": ([{**STATUS, "status": 503}], 2),
    "504": ([{**STATUS, "status": 504}], 2),
    "500 three times": ([{**STATUS, "status": 500, "times": 3}], 4),
    "reset before the first byte": ([{**POST, "fault": "reset_before_body"}], 2),
    "reset in the middle": ([{**POST, "fault": "reset_mid_body", "after_bytes": 20_000}], 2),
    "reset before the answer": ([{**POST, "fault": "reset_before_answer"}], 2),
    "no answer until the time-out, stored after it": ([{**POST, "fault": "slow", "delay_seconds": 1.3}], 1),
    "stored, the answer lost": ([LOST], 1),
    "stored, the answer cut off": ([{**POST, "fault": "cut_answer"}], 1),
    "stored late": ([{**POST, "fault": "store_late", "delay_seconds": 0.3}], 1),
    "lost without being stored, several times, then stored and lost": (
        [{**POST, "fault": "reset_before_answer", "times": 2}, LOST],
        3,
    ),
    "stored, the answer lost, and the look fails too": (
        [LOST, {"method": "GET", "skip": 1, "times": 2, "fault": "status", "status": 502}],
        1,
    ),
    "stored, the answer lost, and the look is reset": (
        [LOST, {"method": "GET", "skip": 1, "times": 2, "fault": "reset_before_body"}],
        1,
    ),
}


@pytest.fixture(scope="module", params=["http", "tls"])
def library(request, certificate):
    tls = {"tls_certificate": certificate[0], "tls_key": certificate[1]} if request.param == "tls" else {}
    with run_in_thread(SandboxSettings(**tls)) as sandbox, requests.Session() as session:
        session.trust_env = False  # REQUESTS_CA_BUNDLE would override the line below
        session.verify = str(certificate[0])
        session.headers["X-Api-Key"] = sandbox.api_key
        session.base_url, session.media_url, session.key = sandbox.base_url, sandbox.media_url, sandbox.api_key
        yield session


@pytest.fixture
def hook(library, hook_for, monkeypatch):
    monkeypatch.setattr("airflow_provider_media._upload.flow._FIRST_LOOKUP_DELAY_SECONDS", 0.1)
    library.delete(f"{library.base_url}/_sandbox/requests")
    library.delete(f"{library.base_url}/_sandbox/faults")
    return hook_for(library.base_url, key=library.key, timeout=1, settle_seconds=1.2, max_attempts=5)


@pytest.fixture
def posts_of_an_upload_under(library, hook, tmp_path):
    """Upload under faults, see that it ends in one whole file, and tell the POSTs that the server saw."""

    def upload(name, faults):
        path = tmp_path / "image.png"
        path.write_bytes(PNG)
        for fault in faults:
            library.post(f"{library.base_url}/_sandbox/faults", json=fault).raise_for_status()
        media = hook.upload(path, name=name).media

        journal = library.get(f"{library.base_url}/_sandbox/requests").json()
        assert [media.id] == [found.id for found in hook.find_media(name)]
        assert hashlib.sha256(PNG).digest() == hashlib.sha256(library.get(media.url).content).digest()
        assert library.get(f"{library.base_url}/_sandbox/faults").json() == []  # all of them struck
        return [call for call in journal if call["method"] == "POST"]

    return upload


@pytest.mark.parametrize("fault", FAULTS)
def test_one_writer_of_a_name_gets_one_whole_file(posts_of_an_upload_under, fault):
    faults, posts = FAULTS[fault]
    assert len(posts_of_an_upload_under(fault, faults)) == posts


@pytest.mark.parametrize("way", ["Retry-After in seconds", "Retry-After as a date", "retryAfter"])
def test_after_a_429_the_file_is_sent_again_when_the_server_said(posts_of_an_upload_under, way):
    moment = math.ceil(time.time()) + 1  # a date has whole seconds
    ways = {
        "Retry-After in seconds": {"headers": {"Retry-After": "0.3"}},
        "Retry-After as a date": {"headers": {"Retry-After": formatdate(moment, usegmt=True)}},
        "retryAfter": {"body": {"message": "slow down", "retryAfter": 0.3}},
    }
    refused, taken = posts_of_an_upload_under(f"429, {way}", [{**STATUS, "status": 429, **ways[way]}])
    earliest = moment if "date" in way else refused["started_at"] + 0.3
    assert taken["started_at"] >= earliest - 0.01  # the two clocks are not read at once


@pytest.mark.parametrize("files", [0, 1, 30])
def test_an_upload_costs_two_requests_at_any_size_of_the_library(library, hook, tmp_path, files):
    path = tmp_path / "image.png"
    path.write_bytes(PNG)
    for number in range(files):
        library.post(library.media_url, files={"file": (f"{number}.png", PNG)}).raise_for_status()
    library.delete(f"{library.base_url}/_sandbox/requests")
    hook.upload(path, name=f"beside {files}")
    journal = library.get(f"{library.base_url}/_sandbox/requests").json()
    assert [call["method"] for call in journal] == ["GET", "POST"]


def test_writers_of_one_name_each_get_a_file_of_their_own(library, hook, tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(PNG)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: hook.upload(path, name="contested"), range(12)))
    ids = {result.media.id for result in results}
    assert ids == {media.id for media in hook.find_media("contested")}
    assert len(ids) == 12
    assert {len(PNG)} == {result.media.size for result in results}


def test_a_delete_whose_answer_was_lost_is_done(library, hook, tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(PNG)
    media_id = hook.upload(path, name="to be deleted").media.id
    library.post(f"{library.base_url}/_sandbox/faults", json={**LOST, "method": "DELETE"}).raise_for_status()
    hook.delete(media_id)
    assert hook.exists(media_id) is False
    journal = library.get(f"{library.base_url}/_sandbox/requests").json()
    assert [call["method"] for call in journal].count("DELETE") == 2


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_where_nobody_listens_the_reason_is_told(hook_for, tmp_path, scheme):
    path = tmp_path / "image.png"
    path.write_bytes(PNG)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(MediaUnavailableError, match="no connection to"):
        hook_for(f"{scheme}://127.0.0.1:{port}", max_attempts=2).upload(path)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_a_redirect_of_an_upload_is_not_followed(raw_server, hook_for, tmp_path, tls):
    path = tmp_path / "image.png"
    path.write_bytes(PNG)

    def redirect(exchange):
        exchange.read_all()
        exchange.respond(307, {}, "Location: https://other.example/media")

    server = raw_server(redirect, tls=tls)
    with pytest.raises(MediaResponseError, match=r"other\.example"):
        hook_for(server.base_url).upload(path)
    assert len(server.posts) == 1

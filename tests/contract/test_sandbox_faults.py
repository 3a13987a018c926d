"""The sandbox's faults: effects on the client and on the library."""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

from airflow_provider_media.sandbox.server import Sandbox, run_in_thread
from airflow_provider_media.sandbox.settings import MEDIA_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = 4_000_000


class Client:
    """Sends requests with http.client, which exposes how a connection ends."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.connections = ExitStack()
        self.timeout_seconds = 5.0

    def call(self, method: str, path: str = "", body: bytes = b"", **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.sandbox.port, timeout=self.timeout_seconds)
        self.connections.callback(connection.close)
        connection.request(method, MEDIA_PATH + path, body, {"X-Api-Key": self.sandbox.api_key} | headers)
        return connection.getresponse()

    def upload(self, padding: int = 0) -> http.client.HTTPResponse:
        buffer = io.BytesIO()
        Image.new("RGB", (30, 20)).save(buffer, "PNG")
        files = {"file": ("a.png", buffer.getvalue() + bytes(padding))}
        prepared = requests.Request("POST", self.sandbox.media_url, files=files).prepare()
        assert isinstance(prepared.body, bytes)
        return self.call("POST", body=prepared.body, **{"Content-Type": prepared.headers["Content-Type"]})

    def stored(self) -> list[int]:
        return [media["id"] for media in json.load(self.call("GET", "?limit=1000"))["content"]]

    def control(self, method: str, path: str, value: Any = None) -> requests.Response:
        url = f"{self.sandbox.base_url}/_sandbox/{path}"
        return requests.request(method, url, json=value, timeout=5)

    def fail(self, fault: str, method: str = "POST", **options: Any) -> None:
        response = self.control("POST", "faults", {"fault": fault, "method": method, **options})
        assert response.status_code == 201, response.text

    def pending(self) -> list[dict[str, Any]]:
        faults: list[dict[str, Any]] = self.control("GET", "faults").json()
        return faults

    def uploads(self) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self.control("GET", "requests").json()
        return [call for call in calls if call["method"] == "POST"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_in_thread() as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    client.control("DELETE", "faults")
    for media_id in client.stored():
        client.call("DELETE", f"/{media_id}")
    client.control("DELETE", "requests")
    with client.connections:
        yield client


def assert_reset(call: Callable[[], object]) -> None:
    with pytest.raises(ConnectionError) as caught:
        call()
    # Exact types, because RemoteDisconnected (a regular close) is also a ConnectionResetError.
    assert type(caught.value) in {ConnectionResetError, BrokenPipeError}


def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"condition not met within {seconds} s"
        time.sleep(0.01)


def test_status_is_returned_and_nothing_stored(client: Client) -> None:
    client.fail("status", status=503, headers={"Retry-After": "7", "X-RateLimit-Remaining": "0"})
    response = client.upload(LONG)
    assert (response.status, response.headers["Retry-After"]) == (503, "7")
    assert response.headers.get_all("X-RateLimit-Remaining") == ["0"]
    body = json.load(response)
    assert (body["status"], body["error"]) == (503, "Service Unavailable")
    assert client.stored() == []
    assert client.upload().status == 201
    assert [call["status"] for call in client.uploads()] == [503, 201]
    assert client.uploads()[0]["body_bytes"] > LONG


def test_url_of_a_file_fails_if_the_path_matches(client: Client) -> None:
    url = json.load(client.upload())["url"]
    client.fail("status", "GET", status=404)
    assert requests.get(url, timeout=5).ok
    client.fail("status", "GET", status=404, path="/files/*")
    assert [requests.get(url, timeout=5).status_code for _ in range(2)] == [404, 200]


@pytest.mark.parametrize(
    ("options", "content_type", "content"),
    [
        ({"status": 429, "body": {"retryAfter": 12}}, "application/json", b'{"retryAfter": 12}'),
        ({"status": 200, "body": ["not", "media"]}, "application/json", b'["not", "media"]'),
        ({"status": 502, "body": {"text": "<h1>no</h1>"}}, "text/plain; charset=utf-8", b"<h1>no</h1>"),
        ({"status": 502, "body": {"text": "x"}, "headers": {"Content-Type": "text/html"}}, "text/html", b"x"),
        ({"status": 204}, "application/json", b""),
    ],
)
def test_status_with_a_custom_body(client: Client, options: dict[str, Any], content_type: str, content: bytes) -> None:
    client.fail("status", "GET", **options)
    response = client.call("GET")
    assert (response.status, response.headers["Content-Type"]) == (options["status"], content_type)
    assert response.read() == content


@pytest.mark.parametrize("close", [False, True])
def test_early_status_does_not_wait_for_the_body(client: Client, close: bool) -> None:  # noqa: FBT001 (a test's parameter)
    client.fail("status", status=403, early=True, close=close)
    head = f"POST {MEDIA_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.sandbox.port), timeout=5) as connection:
        connection.sendall(head.encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert (response.status, json.loads(response.read())["status"]) == (403, 403)
        if close:
            assert response.headers["Connection"] == "close"
            assert connection.recv(1) == b""
        else:  # the rest of the body is discarded, and the connection stays open
            connection.sendall(b"rest" + f"GET {MEDIA_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 401")


def test_reset_before_body(client: Client) -> None:
    client.fail("reset_before_body")
    assert_reset(lambda: client.upload(LONG))
    assert (client.stored(), client.uploads()[0]["status"], client.uploads()[0]["body_bytes"]) == ([], None, 0)


def test_reset_mid_body(client: Client) -> None:
    client.fail("reset_mid_body", after_bytes=1_000_000)
    assert_reset(lambda: client.upload(LONG))
    assert client.stored() == []
    assert 1_000_000 <= client.uploads()[0]["body_bytes"] < LONG


def test_reset_mid_body_of_a_shorter_body(client: Client) -> None:
    client.fail("reset_mid_body", after_bytes=1_000_000)
    assert_reset(client.upload)
    assert client.stored() == []


def test_reset_before_answer(client: Client) -> None:
    client.fail("reset_before_answer")
    assert_reset(lambda: client.upload(LONG))
    assert client.stored() == []
    assert client.uploads()[0]["body_bytes"] > LONG


def test_slow_delays_the_response(client: Client) -> None:
    media_id = json.load(client.upload())["id"]
    for method, path, status in (("GET", "", 200), ("GET", f"/{media_id}", 200), ("DELETE", f"/{media_id}", 204)):
        client.fail("slow", method, delay_seconds=0.1)
        start = time.monotonic()
        assert client.call(method, path).status == status
        assert time.monotonic() - start >= 0.1


def test_slow_upload_is_stored_after_a_client_timeout(client: Client) -> None:
    client.fail("slow", delay_seconds=2)
    client.timeout_seconds = 0.3
    with pytest.raises(TimeoutError):
        client.upload()
    client.connections.close()
    client.timeout_seconds = 5.0
    assert client.stored() == []
    until(lambda: len(client.stored()) == 1)
    assert [call["status"] for call in client.uploads()] == [None]


def test_store_then_drop_stores_without_a_response(client: Client) -> None:
    client.fail("store_then_drop")
    with pytest.raises(http.client.RemoteDisconnected):
        client.upload(LONG)
    assert len(client.stored()) == 1
    assert [call["status"] for call in client.uploads()] == [None]


def test_store_then_drop_deletes_without_a_response(client: Client) -> None:
    client.upload()
    client.fail("store_then_drop", "DELETE")
    with pytest.raises(http.client.RemoteDisconnected):
        client.call("DELETE", f"/{client.stored()[0]}")
    assert client.stored() == []


def test_store_late_drops_first_and_stores_later(client: Client) -> None:
    client.fail("store_late", delay_seconds=2)
    start = time.monotonic()
    with pytest.raises(http.client.RemoteDisconnected):
        client.upload(LONG)
    dropped_after = time.monotonic() - start
    assert client.stored() == []
    until(lambda: len(client.stored()) == 1)
    assert time.monotonic() - start >= 2 > dropped_after


def test_store_late_can_drop_late(client: Client) -> None:
    client.fail("store_late", delay_seconds=0.2, drop_after_seconds=0.2)
    start = time.monotonic()
    with pytest.raises(http.client.RemoteDisconnected):
        client.upload()
    assert time.monotonic() - start >= 0.2
    until(lambda: len(client.stored()) == 1)


def test_store_late_rejects_an_invalid_upload(client: Client) -> None:
    client.fail("store_late", delay_seconds=0)
    with pytest.raises(http.client.RemoteDisconnected):
        client.call("POST", body=b"x")
    assert client.stored() == []


def test_cut_answer_stores_and_truncates_the_response(client: Client) -> None:
    client.fail("cut_answer")
    response = client.upload()
    assert response.status == 201
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    assert len(caught.value.partial) == int(response.headers["Content-Length"]) // 2
    assert len(client.stored()) == 1


def test_faults_match_method_path_times_and_skip(client: Client) -> None:
    client.fail("status", "get", path=f"{MEDIA_PATH}/*", status=500, times=2, skip=1)
    assert client.upload().status == 201
    assert client.call("GET").status == 200
    assert [client.call("GET", "/999999").status for _ in range(5)] == [404, 500, 500, 404, 404]
    assert client.pending() == []


def test_faults_apply_in_order(client: Client) -> None:
    client.fail("status", "*", status=500)
    client.fail("status", "*", status=502)
    assert [client.call("GET").status for _ in range(3)] == [500, 502, 200]


def test_pending_faults_are_listed_and_removed(client: Client) -> None:
    client.fail("slow", "GET", delay_seconds=3, times=4)
    assert client.pending() == [
        {"fault": "slow", "method": "GET", "path": f"{MEDIA_PATH}*", "times": 4, "skip": 0, "delay_seconds": 3}
    ]
    assert client.control("DELETE", "faults").status_code == 204
    assert client.pending() == []
    assert client.call("GET").status == 200


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ([], "JSON object"),
        ({}, "'fault' must be one of status, reset_before_body"),
        ({"fault": "explode"}, "'fault' must be one of"),
        ({"fault": ["status"]}, "'fault' must be one of"),
        ({"fault": "status"}, "requires 'status'"),
        ({"fault": "slow", "delay_seconds": 1, "status": 500}, "does not accept 'status'"),
        ({"fault": "status", "status": 100}, "from 200 to 599"),
        ({"fault": "status", "status": "500"}, "from 200 to 599"),
        ({"fault": "status", "status": 500, "times": 0}, "'times'"),
        ({"fault": "status", "status": 500, "times": True}, "'times'"),
        ({"fault": "status", "status": 500, "early": 1}, "'early'"),
        ({"fault": "status", "status": 500, "headers": []}, "'headers'"),
        ({"fault": "status", "status": 500, "headers": {"a b": "c"}}, "a b"),
        ({"fault": "status", "status": 500, "headers": {"Content-Length": "1"}}, "Content-Length"),
        ({"fault": "status", "status": 500, "headers": {"X": "a\r\nb"}}, "printable"),
        ({"fault": "status", "status": 429, "method": "GTE"}, "not 'GTE'"),
        ({"fault": "slow", "delay_seconds": -1}, "'delay_seconds'"),
        ({"fault": "slow", "delay_seconds": 1, "path": ""}, "'path'"),
        ({"fault": "reset_mid_body"}, "requires 'after_bytes'"),
        ({"fault": "store_late", "delay_seconds": 1, "drop_after_seconds": 2}, "must be at most"),
    ],
)
def test_invalid_fault_is_rejected(client: Client, fault: object, message: str) -> None:
    response = client.control("POST", "faults", fault)
    assert response.status_code == 400
    assert message in response.json()["message"]
    assert client.pending() == []


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"fault": "slow", "delay_seconds": NaN}'])
def test_fault_that_is_not_json_is_rejected(client: Client, content: bytes) -> None:
    response = requests.post(f"{client.sandbox.base_url}/_sandbox/faults", data=content, timeout=5)
    assert response.status_code == 400


def test_stopping_cancels_delays() -> None:
    start = time.monotonic()
    with run_in_thread() as sandbox:
        client = Client(sandbox)
        client.fail("store_late", delay_seconds=60)
        with pytest.raises(http.client.RemoteDisconnected):
            client.upload()
        client.connections.close()
    assert time.monotonic() - start < 5

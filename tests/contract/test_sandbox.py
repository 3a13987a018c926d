"""The sandbox's Media API routes, according to openapi.yaml."""

from __future__ import annotations

import io
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from PIL import Image

from airflow_provider_media.sandbox.server import Sandbox, run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 2_000_000
MP4 = b"\x00\x00\x00\x14ftypisom\x00\x00\x02\x00mp42\x00\x00\x00\x0cmdatdata"


def image_bytes(image_format: str = "PNG", size: tuple[int, int] = (30, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, image_format)
    return buffer.getvalue()


class Client:
    """Sends requests with the API key."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.headers = {"X-Api-Key": sandbox.api_key}

    def call(self, method: str, path: str = "", **options: Any) -> requests.Response:
        headers = self.headers | options.pop("headers", {})
        return requests.request(method, self.sandbox.media_url + path, headers=headers, timeout=10, **options)

    def upload(self, content: bytes | None = None, file_name: str = "a.png", **parts: str) -> requests.Response:
        return self.call("POST", files={"file": (file_name, image_bytes() if content is None else content)}, data=parts)

    def ids(self, query: str = "") -> list[int]:
        return [media["id"] for media in self.call("GET", query).json()["content"]]

    def raw(self, head: str, body: bytes = b"") -> bytes:
        """Send raw bytes and return the first bytes of the response."""
        with socket.create_connection(("127.0.0.1", self.sandbox.port), timeout=5) as connection:
            connection.sendall(head.replace("\n", "\r\n").encode() + body)
            return connection.recv(65536)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_in_thread(SandboxSettings(max_bytes=MAX_BYTES)) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    client = Client(sandbox)
    for media_id in client.ids("?limit=1000"):
        client.call("DELETE", f"/{media_id}")
    return client


def assert_error(response: requests.Response, status: int, message: str) -> None:
    body = response.json()
    assert (response.status_code, body["status"], body["error"]) == (status, status, response.reason)
    assert message in body["message"]
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("content", "mime_type", "dimensions"),
    [
        (image_bytes("JPEG"), "image/jpeg", (30, 20)),
        (image_bytes("PNG", (7, 9)), "image/png", (7, 9)),
        (image_bytes("GIF"), "image/gif", (30, 20)),
        (MP4, "video/mp4", (None, None)),
        (b"\xff\xd8\xff broken", "image/jpeg", (None, None)),
    ],
)
def test_upload_returns_the_stored_file(
    client: Client, content: bytes, mime_type: str, dimensions: tuple[int | None, int | None]
) -> None:
    response = client.upload(content, "any.bin", name="Sale", description="For spring", folderId="12")
    assert response.status_code == 201
    media = response.json()
    created_at = datetime.fromisoformat(media.pop("createdAt"))
    assert timedelta(0) <= datetime.now(UTC) - created_at < timedelta(minutes=1)
    url = media.pop("url")
    assert media == {
        "id": media["id"],
        "name": "Sale",
        "description": "For spring",
        "folderId": 12,
        "mimeType": mime_type,
        "size": len(content),
        "width": dimensions[0],
        "height": dimensions[1],
    }
    assert client.call("GET", f"/{media['id']}").json() == response.json()
    preview = requests.get(url, timeout=10)
    assert (preview.content, preview.headers["Content-Type"]) == (content, mime_type)
    assert preview.headers["X-Content-Type-Options"] == "nosniff"


def test_preview_serves_ranges_for_any_name(client: Client) -> None:
    url = client.upload(MP4).json()["url"]
    many = requests.get(url, headers={"Range": "bytes=" + ",".join(f"{number}-" for number in range(2000))}, timeout=10)
    assert many.status_code == 416
    part = requests.get(url, headers={"Range": "bytes=4-7"}, timeout=10)
    assert (part.status_code, part.content) == (206, b"ftyp")
    assert requests.get(url.rsplit("/", 1)[0] + "/other", timeout=10).content == MP4
    assert requests.get(url.rsplit("/", 2)[0] + "/999999/a.png", timeout=10).status_code == 404


def test_file_name_is_the_default_name(client: Client) -> None:
    media = client.upload(file_name="déjà vu.png").json()
    assert media["name"] == "déjà vu.png"
    assert media.keys().isdisjoint({"description", "folderId"})


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        '"quoted" \\ back',
        "two\r\nlines\n",
        "naïve 🎉 מבצע",
        "e\u0301",
        "\x00\x01",
        "<b>&amp;",
        "x" * 5000,
        "../../etc",
    ],
)
def test_names_are_returned_unchanged(client: Client, name: str) -> None:
    media = client.upload(name=name, description=name).json()
    assert (media["name"], media["description"]) == (name, name)
    assert client.call("GET").json()["content"] == [media]
    assert requests.get(media["url"], timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"files": {"file": ("a.png", b"")}}, "empty"),
        ({"files": {"file": ("a.png", b"not an image")}}, "Unsupported file type"),
        ({"files": {"image": ("a.png", image_bytes())}}, "'file' is missing"),
        ({"files": [("file", ("a.png", image_bytes())), ("file", ("b.png", image_bytes()))]}, "must not be repeated"),
        ({"files": {"file": image_bytes()}, "data": {"folderId": "0"}}, "folderId"),
        ({"files": {"file": image_bytes()}, "data": {"folderId": "1.5"}}, "folderId"),
        ({"files": {"file": image_bytes()}, "data": {"folderId": str(2**63)}}, "folderId"),
        ({"files": {"file": image_bytes()}, "data": {"folderId": ""}}, "folderId"),
        ({"files": {"file": image_bytes()}, "data": {"name": b"\xff"}}, "UTF-8"),
        ({"files": {"file": image_bytes()}, "data": {"name": "x" * 70_000}}, "longer"),
        ({"files": {"file": image_bytes()}, "params": {"name": "x"}}, "query parameter"),
        ({"json": {"name": "x"}}, "multipart/form-data"),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, "boundary"),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "malformed"),
        ({"data": b"--b\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "closing boundary"),
        ({"data": b"--b\r\n\r\nx\r\n--b--", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, "no name"),
    ],
)
def test_malformed_upload_is_rejected_and_not_stored(client: Client, options: dict[str, Any], message: str) -> None:
    assert_error(client.call("POST", **options), 400, message)
    assert client.ids() == []
    assert list((client.sandbox.data_dir / "incoming").iterdir()) == []


def test_file_above_the_maximum_size_is_rejected(client: Client) -> None:
    assert client.upload(image_bytes().ljust(MAX_BYTES, b"\0")).status_code == 201
    assert_error(client.upload(image_bytes().ljust(MAX_BYTES + 1, b"\0")), 413, "larger than 2000000 bytes")


def test_chunked_body_is_accepted(client: Client) -> None:
    prepared = requests.Request("POST", client.sandbox.media_url, files={"file": image_bytes()}).prepare()
    body = prepared.body
    assert isinstance(body, bytes)
    headers = {"Content-Type": prepared.headers["Content-Type"]}
    response = client.call("POST", data=(body[index : index + 7] for index in range(0, len(body), 7)), headers=headers)
    assert response.status_code == 201


def test_list_pages_and_sorts(client: Client) -> None:
    names = ["b", "a", "c", "a", "B"]
    ids = [client.upload(name=name).json()["id"] for name in names]
    page = client.call("GET", "?page=1&limit=2").json()
    assert [media["id"] for media in page.pop("content")] == ids[2:4]
    assert page == {"page": 1, "limit": 2, "totalElements": 5, "totalPages": 3}
    assert client.ids("?sortOrder=desc") == ids[::-1]
    assert client.ids("?sortBy=name") == [ids[4], ids[1], ids[3], ids[0], ids[2]]
    assert client.ids("?sortBy=name&sortOrder=desc") == [ids[2], ids[0], ids[3], ids[1], ids[4]]
    assert client.ids("?sortBy=mimeType") == client.ids("?sortBy=size") == client.ids("?sortBy=createdAt") == ids
    assert client.ids("?page=99999999999999999999") == []


def test_list_has_ten_items_by_default(client: Client) -> None:
    for _ in range(11):
        client.upload()
    assert len(client.ids()) == 10


@pytest.mark.parametrize(
    "query",
    [
        *("page=-1", "page=x", "page=", "page=1.0", "page=٣", "limit=0", "limit=1001", "limit=+5", "limit=1_0"),
        *("sortBy=", "sortBy=url", "sortBy=ID", "sortOrder=ASC", "size=3", "page=0&page=0"),
    ],
)
def test_invalid_query_is_rejected(client: Client, query: str) -> None:
    assert_error(client.call("GET", f"?{query}"), 400, query.split("=", maxsplit=1)[0])


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_invalid_and_unknown_ids_are_rejected(client: Client, method: str) -> None:
    for media_id in ("0", "-1", "x", "1.0", "٣", str(2**63), "%00"):
        assert_error(client.call(method, f"/{media_id}"), 400, "must be an integer")
    assert_error(client.call(method, f"/{2**63 - 1}"), 404, "no file with the id")
    assert_error(client.call(method, "/1?x=1"), 400, "query parameter")


def test_deleted_file_is_gone_and_its_id_not_reused(client: Client) -> None:
    media = client.upload().json()
    response = client.call("DELETE", f"/{media['id']}")
    assert (response.status_code, response.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert client.call(method, f"/{media['id']}").status_code == 404
    assert requests.get(media["url"], timeout=10).status_code == 404
    assert client.upload().json()["id"] > media["id"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
@pytest.mark.parametrize("path", ["", "/1", "/x/y"])
@pytest.mark.parametrize("key", [{}, {"X-Api-Key": ""}, {"X-Api-Key": "wrong"}, {"X-Api-Key": "é".encode()}])
def test_every_route_requires_the_api_key(
    sandbox: Sandbox, method: str, path: str, key: dict[str, str | bytes]
) -> None:
    response = requests.request(method, sandbox.media_url + path, headers=key, timeout=10)
    assert_error(response, 401, "key" if key else "missing")


def test_key_header_ignores_case(sandbox: Sandbox) -> None:
    assert requests.get(sandbox.media_url, headers={"x-API-key": sandbox.api_key}, timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("key", "content_type", "length", "status"),
    [
        ("wrong", "multipart/form-data; boundary=b", 1_000_000, b"401"),
        ("sandbox-key", "application/json", 1_000_000, b"400"),
        ("sandbox-key", "multipart/form-data; boundary=b", 10 * MAX_BYTES, b"413"),
    ],
)
def test_rejection_does_not_wait_for_the_body(
    client: Client, key: str, content_type: str, length: int, status: bytes
) -> None:
    head = f"POST /partner-gateway/v1/media HTTP/1.1\nHost: x\nX-Api-Key: {key}\n"
    response = client.raw(f"{head}Content-Type: {content_type}\nContent-Length: {length}\n\n", b"--b")
    assert response.split()[1] == status


def test_other_methods_return_405_and_other_paths_404(client: Client) -> None:
    for method, path, allowed in (("PUT", "", {"GET", "POST"}), ("POST", "/1", {"GET", "DELETE"})):
        response = client.call(method, path)
        assert_error(response, 405, method)
        assert set(response.headers["Allow"].split(", ")) - {"HEAD"} == allowed
    for path in ("/", "/1/", "/1/2", "s"):
        assert_error(client.call("GET", path), 404, "Path not found")


def test_every_response_has_a_request_id_and_rate_limit_headers(client: Client) -> None:
    responses = [client.upload(), client.call("GET", "/x"), client.call("PUT"), client.call("GET", "/1/2")]
    responses.append(requests.get(client.sandbox.media_url, timeout=10))
    assert len({response.headers["X-Request-Id"] for response in responses}) == len(responses)
    for response in responses:
        assert response.headers["X-RateLimit-Limit"] == "1000"
        assert response.headers["X-RateLimit-Remaining"] == "1000"  # unused, because no limit is enforced
        assert int(response.headers["X-RateLimit-Reset"]) > 0


def test_request_log_contains_only_api_requests(client: Client) -> None:
    log_url = f"{client.sandbox.base_url}/_sandbox/requests"
    assert requests.delete(log_url, timeout=10).status_code == 204
    upload = client.upload()
    client.call("GET", "?limit=3")
    requests.get(upload.json()["url"], timeout=10)
    requests.get(client.sandbox.base_url, timeout=10)
    first, second = requests.get(log_url, timeout=10).json()
    assert first.pop("started_at") <= second.pop("started_at")
    assert first == {
        "method": "POST",
        "path": "/partner-gateway/v1/media",
        "query": "",
        "status": 201,
        "body_bytes": len(upload.request.body or b""),
        "request_id": upload.headers["X-Request-Id"],
    }
    assert (second["method"], second["query"], second["status"], second["body_bytes"]) == ("GET", "limit=3", 200, 0)


def test_interrupted_upload_is_not_stored(client: Client) -> None:
    requests.delete(f"{client.sandbox.base_url}/_sandbox/requests", timeout=10)
    head = f"POST /partner-gateway/v1/media HTTP/1.1\r\nHost: x\r\nX-Api-Key: {client.sandbox.api_key}\r\n"
    with socket.create_connection(("127.0.0.1", client.sandbox.port), timeout=5) as connection:
        connection.sendall(
            f"{head}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 999\r\n\r\n--b".encode()
        )
    assert client.ids() == []
    logged = requests.get(f"{client.sandbox.base_url}/_sandbox/requests", timeout=10).json()
    assert [call["status"] for call in logged if call["method"] == "POST"] == [None]


def test_contract_is_served(sandbox: Sandbox) -> None:
    response = requests.get(f"{sandbox.base_url}/openapi.yaml", timeout=10)
    assert response.headers["Content-Type"] == "application/yaml"
    assert response.text.startswith("openapi: 3.1.0")

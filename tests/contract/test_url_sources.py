"""Test uploads and syncs from URLs."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._transports.url import is_refused
from airflow_provider_media.exceptions import MediaConfigurationError, MediaFileError, MediaUnavailableError
from airflow_provider_media.operators.media import MediaSyncOperator
from tests.contract.helpers.file_server import FileServer, serve_files
from tests.contract.helpers.sandbox_library import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_media.hooks.media import MediaHook
    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"
VIDEO = (Path(__file__).parents[1] / "unit" / "media" / "h264-aac-headers-last.mp4").read_bytes()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_files() as server:
        yield server


@pytest.mark.parametrize("has_ranges", [True, False])
def test_a_url_is_uploaded_completely(
    hook: MediaHook, library: SandboxLibrary, server: FileServer, *, has_ranges: bool
) -> None:
    server.has_ranges = has_ranges
    content = VIDEO + (700_000).to_bytes(4) + b"free" + os.urandom(699_992)
    media = hook.upload(server.put("/a%20b/launch%20%C3%A9.mp4", content) + "?signature=secret#t=5").media
    assert (media.name, sha256_of(str(media.url))) == ("launch é.mp4", sha256_of(content))
    assert {request.headers["X-Api-Key"] for request in server.requests} == {None}
    assert len(server.requests) < 12


def test_a_url_of_the_library_copies_its_file(hook: MediaHook, library: SandboxLibrary) -> None:
    first = hook.upload(Path(__file__).parents[1] / "unit" / "media" / "h264-aac.mp4", name="first").media
    second = hook.upload(first.url, name="second").media
    assert sha256_of(str(first.url)) == sha256_of(str(second.url))


def redirect(to: str) -> Callable[[Any], bool]:
    def respond(handler: Any) -> bool:
        if handler.path.startswith("/from"):
            handler.reply(302, b"", Location=to)
            return True
        return False

    return respond


def credentials(monkeypatch: pytest.MonkeyPatch, server: FileServer, **fields: Any) -> None:
    connection = {"conn_type": "http", "host": "127.0.0.1", "schema": "http", "login": "user", "password": "pass"}
    monkeypatch.setenv("AIRFLOW_CONN_CDN", json.dumps(connection | {"port": server.port} | fields))


def test_credentials_of_a_connection_are_not_sent_to_a_redirect(
    hook: MediaHook, library: SandboxLibrary, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(monkeypatch, server, extra={"X-Token": "the-token", "verify": False})
    server.put("/banner.png", PNG)
    server.respond = redirect(server.url("/banner.png", "localhost"))
    hook.upload(server.url("/from/logo.png", "cdn@127.0.0.1"))
    sent = {(request.path, request.headers["Authorization"], request.headers["X-Token"]) for request in server.requests}
    assert sent == {("/from/logo.png", "Basic dXNlcjpwYXNz", "the-token"), ("/banner.png", None, None)}
    assert [file["name"] for file in library.files()] == ["logo.png"]


def test_credentials_are_not_sent_to_another_host(
    hook: MediaHook, library: SandboxLibrary, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials(monkeypatch, server)
    with pytest.raises(MediaConfigurationError, match=r"for http://127\.0\.0\.1, not for http://localhost"):
        hook.upload(server.url("/banner.png", "cdn@localhost"))
    with pytest.raises(MediaFileError, match="the URL has a password"):
        hook.upload(server.url("/banner.png", "user:secret@localhost"))
    assert server.requests == []


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("http://169.254.169.254/latest", r"has the address 169\.254\.169\.254"),
        ("file:///etc/passwd", "redirects to .*which is not https"),
        ("/from/again", "redirects more than 5 times"),
    ],
)
def test_redirects_are_few_and_go_to_web_servers(
    hook: MediaHook, library: SandboxLibrary, server: FileServer, to: str, reason: str
) -> None:
    server.respond = redirect(to)
    with pytest.raises(MediaFileError, match=reason):
        hook.upload(server.url("/from/logo.png"))
    assert len(server.requests) <= 6
    assert library.methods() == ""


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xa9.0xfe.0xa9.0xfe",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00:ec2::254]",
    ],
)
def test_link_local_addresses_are_refused(hook: MediaHook, host: str) -> None:
    with pytest.raises(MediaFileError, match="which may be a cloud's metadata service"):
        hook.upload(f"http://{host}/latest/meta-data/banner.png")


@pytest.mark.parametrize("host", ["[fe80::1%25eth0]", "[fe80::1%eth0]:8080", "[::1%25lo]", "[fd00::7%251]"])
def test_ipv6_zone_ids_are_refused(hook: MediaHook, server: FileServer, host: str) -> None:
    with pytest.raises(MediaFileError, match=r"its host has an IPv6 zone id, which HTTP libraries cannot use\."):
        hook.upload(f"https://{host}/banner.png")
    server.respond = redirect(f"http://{host}/banner.png")
    with pytest.raises(MediaFileError, match="its host has an IPv6 zone id"):
        hook.upload(server.url("/from/banner.png"))


@pytest.mark.parametrize("addresses", [["169.254.169.254"], ["127.0.0.1", "169.254.169.254"]])
def test_names_of_link_local_addresses_are_refused(
    hook: MediaHook, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    """A name may resolve to another address when the connection is opened."""
    asked: list[str] = []

    def resolve(host: Any, port: Any, *_: Any, **__: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (addresses[min(len(asked), len(addresses)) - 1], port))]

    def connect(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"connects to {address}")

    def peer(self: socket.socket) -> Any:
        return ("169.254.169.254", 80)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    if len(addresses) == 1:
        monkeypatch.setattr(socket.socket, "connect", connect)
    else:
        monkeypatch.setattr(socket.socket, "connect", lambda *_: None)
        monkeypatch.setattr(socket.socket, "getpeername", peer)
    with pytest.raises(MediaFileError, match=r"has the address 169\.254\.169\.254"):
        hook.upload("http://metadata.example/banner.png")
    assert len(asked) == len(addresses)


def test_private_addresses_are_read() -> None:
    assert not any(map(is_refused, ["10.0.0.1", "127.0.0.1", "192.168.1.1", "::1", "fd00::1", "8.8.8.8"]))
    assert all(map(is_refused, ["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fe80::1%eth0", "100.100.100.200"]))


def test_a_file_that_changes_is_not_uploaded(hook: MediaHook, library: SandboxLibrary, server: FileServer) -> None:
    url = server.put("/banner.png", PNG + bytes(1000))

    def change(handler: Any) -> bool:
        server.headers["ETag"] = f'"v{sum(request.headers["Range"] is None for request in server.requests)}"'
        return False

    server.respond = change
    with pytest.raises(MediaFileError, match="it changed while it was being sent"):
        hook.upload(url)
    assert library.files() == []


def test_a_truncated_download_is_not_uploaded(hook: MediaHook, library: SandboxLibrary, server: FileServer) -> None:
    url = server.put("/banner.png", PNG + bytes(100_000))

    def truncate(handler: Any) -> bool:
        if handler.headers["Range"]:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", "100008")
        handler.end_headers()
        handler.wfile.write(PNG)
        return True

    server.respond = truncate
    with pytest.raises((MediaFileError, MediaUnavailableError), match=r"banner\.png.* cannot be uploaded"):
        hook.upload(url)
    assert library.files() == []


@pytest.mark.parametrize(
    ("status", "headers", "reason", "error"),
    [
        (404, {}, "it does not exist", MediaFileError),
        (403, {}, "HTTP 403", MediaFileError),
        (503, {}, "HTTP 503", MediaUnavailableError),
        (200, {"Content-Length": ""}, "does not return its size", MediaFileError),
        (200, {"Content-Encoding": "gzip"}, "the server compresses it", MediaFileError),
    ],
)
def test_an_unreadable_url_raises_one_sentence(
    hook: MediaHook, server: FileServer, status: int, headers: dict[str, str], reason: str, error: type[Exception]
) -> None:
    server.respond = lambda handler: handler.reply(status, PNG, **headers) or True
    with pytest.raises(error, match=reason) as caught:
        hook.upload(server.url("/banner.png?signature=secret"))
    assert "secret" not in str(caught.value)


def test_urls_are_synced_by_name(define: Any, library: SandboxLibrary, server: FileServer) -> None:
    urls = [server.put(f"/{name}.png", PNG + name.encode()) for name in ("one", "two")]

    def sync(source: Any) -> dict[str, str]:
        manifest = MediaSyncOperator(task_id="sync", source=source, media_conn_id=define()).execute({})
        return {name: entry["action"] for name, entry in manifest.items()}

    assert sync(urls) == {"one.png": "create", "two.png": "create"}
    assert sync(json.dumps(urls)) == {"one.png": "keep", "two.png": "keep"}
    assert sync({"cards/one.png": urls[0]}) == {"cards/one.png": "create"}
    for source, reason in (([*urls, urls[0] + "?v=2"], "two URLs"), ([], "empty"), ([*urls, "/a.png"], "URLs, not of")):
        with pytest.raises(MediaConfigurationError, match=reason):
            sync(source)

"""Certificates and proxies, as the connection or else the environment says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import requests.certs

from airflow_provider_media._api.protocol import build_list
from airflow_provider_media._api.settings import Secret, Settings
from airflow_provider_media._transports.aio import AsyncTransport
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaUnavailableError
from airflow_provider_media.sandbox.server import Sandbox, run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings
from tests.contract.helpers.blocking import both_hooks
from tests.contract.helpers.raw_server import RawServer, http_response
from tests.contract.helpers.sandbox_library import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.helpers.sandbox_library import SandboxLibrary

UNCHECKED = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


@pytest.fixture(scope="module")
def secure_sandbox(certificate: tuple[Path, Path]) -> Iterator[Sandbox]:
    settings = SandboxSettings(api_key="key-of-the-tests", tls_certificate=certificate[0], tls_key=certificate[1])
    with run_in_thread(settings) as running:
        yield running


@both_hooks
def test_untrusted_certificate_is_not_retried(connect: Any, secure_sandbox: Sandbox) -> None:
    with pytest.raises(MediaConfigurationError, match=r"is not trusted \(self-signed certificate\)") as raised:
        connect(secure_sandbox.base_url).list_page()
    assert not raised.value.retryable


NOT_TLS = r"https://127\.0\.0\.1:\d+ does not use TLS; for a plain HTTP server, start the base address with http://"


def test_https_to_a_plain_http_server_is_not_retried(
    connect: Any, library: SandboxLibrary, image: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook = connect(library.sandbox.base_url.removeprefix("http://"))
    with pytest.raises(MediaConfigurationError, match=NOT_TLS):
        hook.upload(image)
    assert "Retrying in" not in caplog.text


def test_https_to_a_plain_http_server_fails_on_an_event_loop(
    library: SandboxLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        base_url=library.sandbox.base_url.replace("http://", "https://"), api_key=Secret("key-of-the-tests")
    )

    async def read_settings() -> Settings:
        return settings

    async def ask() -> None:
        transport = AsyncTransport(read_settings)
        try:
            await transport.send(build_list())
        finally:
            await transport.close()

    with pytest.raises(MediaError, match=NOT_TLS) as raised:
        asyncio.run(ask())
    assert type(raised.value) is MediaConfigurationError
    assert "Retrying in" not in caplog.text


def test_the_path_of_a_ca_bundle_is_trusted(
    connect: Any, secure_sandbox: Sandbox, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"\x00\x00\x00\x18ftypisom" + bytes(3_000_000))
    hook = connect(secure_sandbox.base_url, verify=str(certificate[0]))
    media = hook.upload(video).media
    assert (media.size, media.mime_type) == (video.stat().st_size, "video/mp4")
    [stored] = [path for path in (secure_sandbox.data_dir / "files").iterdir() if path.name == str(media.id)]
    assert sha256_of(stored.read_bytes()) == sha256_of(video.read_bytes())


@both_hooks
@UNCHECKED
@pytest.mark.parametrize("verify", [False, "false"])
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_environment_does_not_override_verify_false(
    connect: Any, secure_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, variable: str, *, verify: bool | str
) -> None:
    monkeypatch.setenv(variable, requests.certs.where())
    assert len(connect(secure_sandbox.base_url, verify=verify).list_page()) >= 0


@both_hooks
def test_ca_bundle_of_the_environment_is_the_default(
    connect: Any, secure_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    assert len(connect(secure_sandbox.base_url).list_page()) >= 0


@both_hooks
def test_a_ca_bundle_of_the_connection_wins_over_one_of_the_environment(
    connect: Any, secure_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with pytest.raises(MediaConfigurationError, match="is not trusted"):
        connect(secure_sandbox.base_url, verify=requests.certs.where()).list_page()


@both_hooks
def test_missing_ca_bundle_is_named(connect: Any) -> None:
    with pytest.raises(MediaConfigurationError, match=r"CA bundle '/no/such/bundle\.pem' .*: it does not exist"):
        connect("https://127.0.0.1:9", verify="/no/such/bundle.pem").list_page()


@both_hooks
def test_invalid_ca_bundle_is_named(connect: Any, tmp_path: Path) -> None:
    path = tmp_path / "bundle.pem"
    path.write_text("no certificate at all")
    with pytest.raises(MediaConfigurationError, match=r"Could not load the CA bundle .*bundle\.pem"):
        connect("https://127.0.0.1:9", verify=str(path)).list_page()


@both_hooks
@pytest.mark.parametrize("host", ["http://127.0.0.1:9", "https://127.0.0.1:9"])
def test_missing_ca_bundle_of_the_environment_is_named(
    connect: Any, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(MediaConfigurationError, match=r"CA bundle '/no/such/bundle\.pem' \(.* REQUESTS_CA_BUNDLE\)"):
        connect(host).list_page()


@pytest.fixture
def proxy() -> Iterator[RawServer]:
    """Responds in place of every server; rejects tunnels."""

    def serve(head: str) -> bytes:
        return (
            http_response(502)
            if head.startswith("CONNECT")
            else http_response(200, {"items": [{"id": 77}], "total": 1})
        )

    with RawServer(serve) as server:
        yield server


@both_hooks
def test_a_proxy_of_the_environment_is_used(connect: Any, proxy: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert [media.id for media in connect("http://media.example/api").list_page()] == [77]
    expected = "GET http://media.example/api/partner-gateway/v1/media?page=0&limit=10 HTTP/1.1"
    assert proxy.lines == [expected]


@both_hooks
def test_https_goes_through_a_tunnel_that_never_sees_the_key(
    connect: Any, proxy: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(MediaUnavailableError):
        connect("https://media.example", max_attempts=1).list_page()
    [line] = proxy.lines
    assert line.startswith("CONNECT media.example:443 HTTP/1.")
    assert "key-of-the-tests" not in proxy.heads[0]


@both_hooks
@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "*", "media.example,127.0.0.1", "10.0.0.0/8, 127.0.0.0/8"])
def test_no_proxy_is_honoured(
    connect: Any, library: SandboxLibrary, proxy: RawServer, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert connect(library.sandbox.base_url).list_page().total == 0
    assert proxy.lines == []


@both_hooks
@pytest.mark.parametrize(
    ("host", "no_proxy", "is_direct"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("http://127.0.0.1:8080", "127.0.0.1:8081", False),
        ("http://media.example:8080/api", "other.example, media.example:8080", True),
        ("http://eu.media.example:8080", "media.example:8080", True),
        ("http://media.example", "media.example:80", True),
        ("https://media.example", "media.example:443", True),
        ("https://media.example", "media.example:80", False),
        ("http://notmedia.example", "media.example", False),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://[::1]:8080", "::/64", True),
        ("http://[::1]:8080", "[::1]:80", False),
    ],
)
def test_no_proxy_may_name_a_port(
    connect: Any, monkeypatch: pytest.MonkeyPatch, host: str, no_proxy: str, *, is_direct: bool
) -> None:
    """An invalid proxy is rejected if it applies; a direct request finds no server."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 9))])
    expected = (MediaUnavailableError, "no connection to") if is_direct else (MediaConfigurationError, "environment")
    with pytest.raises(expected[0], match=expected[1]):
        connect(host, max_attempts=1).list_page()


@both_hooks
@pytest.mark.parametrize("variable", ["ALL_PROXY", "HTTP_PROXY", "http_proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_a_socks_proxy_of_the_environment_is_named_as_the_cause(
    connect: Any, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:9")
    words = rf"The environment's proxy \({variable.upper()}\) must be the URL of an HTTP proxy .*not SOCKS"
    with pytest.raises(MediaConfigurationError, match=words):
        connect("http://media.example").list_page()


@both_hooks
def test_a_proxy_of_the_connection_wins_over_the_environment(
    connect: Any, proxy: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    hook = connect("http://media.example", proxy=proxy.url.replace("//", "//user:pass-word@"))
    assert [media.id for media in hook.list_page()] == [77]
    assert "Proxy-Authorization: Basic " in proxy.heads[0]


def test_upload_through_a_proxy_is_complete(connect: Any, image: Path) -> None:
    stored = {"id": 5, "name": "banner.png", "size": image.stat().st_size, "url": "http://media.example/5"}
    with RawServer(
        lambda head: http_response(201, stored) if head.startswith("POST") else http_response(200, [])
    ) as server:
        assert connect("http://media.example", proxy=server.url).upload(image).media.id == 5
    assert server.lines[-1] == "POST http://media.example/partner-gateway/v1/media HTTP/1.1"
    assert server.body_bytes[-1] > image.stat().st_size


@both_hooks
@pytest.mark.parametrize("host", ["http://media.example", "https://media.example"])
def test_unreachable_proxy_of_the_environment_is_the_cause(
    connect: Any, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "127.0.0.1:9")
    with pytest.raises(MediaUnavailableError, match=r"not connect to .* through the proxy \(Connection refused\)"):
        connect(host, max_attempts=1).list_page()


@both_hooks
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://user:pass-word@127.0.0.1:99999"])
def test_invalid_proxy_of_the_environment_is_rejected_without_its_password(
    connect: Any, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(MediaConfigurationError, match="proxy") as raised:
        connect("http://media.example").list_page()
    assert "pass-word" not in str(raised.value) + repr(raised.value.__cause__)


@both_hooks
@pytest.mark.parametrize("status", [403, 407])
def test_rejection_of_a_proxy_is_not_retried(connect: Any, status: int) -> None:
    with RawServer(lambda _: http_response(status)) as server:
        with pytest.raises(
            MediaConfigurationError, match=r"the proxy rejected the connection to https://media\.example"
        ):
            connect("https://media.example", proxy=server.url).list_page()
        assert len(server.heads) == 1


def test_upload_with_response_lost_by_a_proxy_is_not_retried(connect: Any, image: Path) -> None:
    stored = {"id": 5, "name": "banner.png", "size": image.stat().st_size, "mimeType": "image/png"}
    listed: list[dict[str, Any]] = []

    def lose(head: str) -> bytes:
        if head.startswith("POST"):
            listed.append(stored)
            return b""
        return http_response(200, stored if "media/5" in head else {"items": listed, "total": len(listed)})

    with RawServer(lose) as server:
        result = connect("http://media.example", proxy=server.url).upload(image)
    assert (result.created, result.media.id) == (True, 5)
    assert [line.split()[0] for line in server.lines].count("POST") == 1


@both_hooks
def test_unreachable_proxy_is_named_without_its_password(connect: Any) -> None:
    hook = connect("http://media.example", proxy="http://user:pass-word@127.0.0.1:9", max_attempts=1)
    with pytest.raises(MediaUnavailableError) as raised:
        hook.list_page()
    shown = "".join(repr(error) for error in (raised.value, raised.value.__cause__))
    assert "pass-word" not in str(raised.value) + shown


@both_hooks
def test_a_netrc_file_adds_no_credentials(
    connect: Any, raw_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password pass-word\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = raw_server(lambda _: http_response(200, []))
    connect(server.url).list_page()
    assert "authorization" not in server.heads[0].lower()
    assert "X-Api-Key: key-of-the-tests" in server.heads[0]

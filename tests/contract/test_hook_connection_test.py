"""The "Test" button says in words what works or what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings
from tests.contract.helpers.blocking import both_hooks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.helpers.raw_server import RawServer
    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"

pytestmark = both_hooks


@pytest.mark.parametrize(("files", "count"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_success_shows_the_number_of_files(connect: Any, library: SandboxLibrary, files: int, count: str) -> None:
    for number in range(files):
        library.store(f"file {number}", PNG)
    library.forget()
    base_url = library.sandbox.base_url
    expected = (True, f"The Media API at {base_url} accepts the key; the library holds {count}.")
    assert connect(base_url).test_connection() == expected
    assert [call["query"] for call in library.journal()] == ["page=0&limit=1"]


def test_it_works_without_a_total(connect: Any) -> None:
    with run_in_thread(SandboxSettings(api_key="key-of-the-tests", totals=False)) as running:
        expected = (True, f"The Media API at {running.base_url} accepts the key.")
        assert connect(running.base_url).test_connection() == expected


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "add this machine's IP address to the account's allowlist"),
        (404, "no Media API at this URL; check the base address in the connection"),
        (429, "the rate limit of the API key is exceeded"),
        (503, "HTTP 503"),
    ],
)
def test_rejection_is_shown_without_retries(connect: Any, library: SandboxLibrary, status: int, words: str) -> None:
    library.fail("status", "GET", status=status, times=9)
    works, message = connect(library.sandbox.base_url).test_connection()
    assert not works
    assert words in message
    assert library.methods() == "GET"


def test_rejected_key_is_shown(connect: Any, library: SandboxLibrary) -> None:
    works, message = connect(library.sandbox.base_url, "not-the-key").test_connection()
    assert (works, "check the API key in the connection" in message) == (False, True)


@pytest.mark.parametrize(
    ("host", "key", "extra", "words"),
    [
        (
            "http://no-such-host.invalid",
            "a-key-that-nobody-has",
            {},
            "could not resolve the host name of http://no-such-host.invalid",
        ),
        ("http://127.0.0.1:9", "a-key-that-nobody-has", {}, "no connection to http://127.0.0.1:9"),
        ("ftp://127.0.0.1", "a-key-that-nobody-has", {}, "is not a valid URL"),
        ("http://127.0.0.1:9", None, {}, "has no API key"),
        ("http://127.0.0.1:9", "a-key-that-nobody-has", {"colour": "red"}, "unknown key 'colour'"),
        (
            "https://127.0.0.1:9",
            "a-key-that-nobody-has",
            {"verify": "/no/such/bundle.pem"},
            "it does not exist",
        ),
    ],
)
def test_invalid_connection_is_shown(
    connect: Any, host: str, key: str | None, extra: dict[str, Any], words: str
) -> None:
    works, message = connect(host, key, **extra).test_connection()
    assert not works
    assert words in message


def test_untrusted_certificate_is_shown(connect: Any, certificate: tuple[Path, Path]) -> None:
    settings = SandboxSettings(tls_certificate=certificate[0], tls_key=certificate[1])
    with run_in_thread(settings) as running:
        works, message = connect(running.base_url).test_connection()
    assert not works
    assert f"the certificate of {running.base_url} is not trusted (self-signed certificate)" in message
    assert "'verify'" in message


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<!doctype html><title>Intranet login</title>", "not JSON"),
        ("[[1]]", "an entry is not an object"),
        ("", "empty body"),
    ],
)
def test_other_server_is_shown(connect: Any, raw_server: Any, page: str, words: str) -> None:
    from tests.contract.helpers.raw_server import http_response

    server: RawServer = raw_server(lambda _: http_response(200, page))
    works, message = connect(server.url).test_connection()
    assert not works
    assert words in message
    assert "Check the base address in the connection." in message

"""Nothing shows the key: no error, no variable of a traceback, no representation, no log."""

from __future__ import annotations

import logging
import re
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaError
from airflow_provider_media.hooks.media import MediaHook
from tests.contract.helpers.blocking import both_hooks
from tests.contract.helpers.raw_server import http_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.contract.helpers.sandbox_library import SandboxLibrary

KEY = "sk-live-4f5e6d7c8b9a"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Everything that was logged or printed so far, the libraries' debug lines included."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text + "".join(capfd.readouterr())


def variables_of(error: BaseException) -> str:
    """Return the reprs of all variables of all frames of an error and its causes, as error trackers collect them."""
    shown: list[str] = []
    waiting: list[BaseException | None] = [error]
    known: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in known:
            continue
        known.add(id(current))
        waiting += [current.__cause__, current.__context__]
        shown += [repr(current), repr(vars(current))]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if frame.f_code.co_filename != __file__:  # a test knows its key
                shown += [f"{frame.f_code.co_name}: {name} = {value!r}" for name, value in frame.f_locals.items()]
    return "\n".join(shown)


ECHOES = [
    {"message": f"The key {KEY} is not valid."},
    {"message": "x" * 190 + KEY},
    f"<html>{KEY}</html>",
    "y" * 185 + KEY,
]


@both_hooks
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404])
@pytest.mark.parametrize("echo", ECHOES, ids=["in a message", "cut off in a message", "in a page", "cut off in a page"])
def test_key_repeated_by_the_server_is_not_in_the_error(
    connect: Any, raw_server: Any, seen: Callable[[], str], status: int, echo: Any
) -> None:
    server = raw_server(lambda _: http_response(status, echo, f"X-Request-Id: {KEY}", f"Location: http://h/?key={KEY}"))
    hook = connect(server.url, KEY)
    with pytest.raises(MediaError) as raised:
        hook.get_media(1)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + repr(vars(raised.value))
    message = hook.test_connection()[1] if isinstance(hook, MediaHook) else ""
    for text in (shown, message, seen(), variables_of(raised.value)):
        assert KEY not in text
        assert KEY[:8] not in text
    assert any(f"X-Api-Key: {KEY}" in head for head in server.heads)


ESCAPED = {
    "a slash as PHP writes it": r"ab\/cd+ef==\"x",
    "JSON's codes of letters": r"ab\u002fcd+ef==\u0022x",
    "an address": "ab%2Fcd%2Bef%3D%3D%22x",
    "an address in lower case": "ab%2fcd%2bef%3d%3d%22x",
    "a path": "ab/cd%2Bef%3D%3D%22x",
    "JSON in JSON": r"ab\\/cd+ef==\\\"x",
}


@both_hooks
@pytest.mark.parametrize("fill", ["", "y" * 185, "y" * 190, "y" * 193], ids=["whole", "cut off", "further", "within"])
@pytest.mark.parametrize("written", ESCAPED.values(), ids=ESCAPED)
def test_escaped_key_is_not_in_the_error(
    connect: Any, raw_server: Any, seen: Callable[[], str], written: str, fill: str
) -> None:
    server = raw_server(lambda _: http_response(401, fill + written, f"X-Request-Id: {written}"))
    with pytest.raises(MediaError, match=r"\*\*\*") as raised:
        connect(server.url, 'ab/cd+ef=="x').get_media(1)
    for text in (str(raised.value), repr(vars(raised.value)), seen()):
        assert not re.search(r"ab\S{0,8}cd", text)
        assert fill + "ab/" not in text


def test_upload_list_and_delete_log_no_key(
    hook: MediaHook, library: SandboxLibrary, image: Path, seen: Callable[[], str]
) -> None:
    library.fail("status", status=503)
    library.fail("store_then_drop")
    library.fail("status", "DELETE", status=502)
    media = hook.upload(image).media
    hook.delete(media.id)
    text = seen()
    assert "Retrying in" in text
    assert library.sandbox.api_key not in text


def test_no_representation_shows_the_key(connect: Any, library: SandboxLibrary) -> None:
    hook = connect(library.sandbox.base_url, library.sandbox.api_key)
    hook.list_page()
    transport = hook.get_conn()
    for thing in (hook, hook.settings, transport, vars(hook), transport.settings):
        assert library.sandbox.api_key not in repr(thing)


@both_hooks
def test_key_as_sent_is_registered_with_airflows_masker(connect: Any, library: SandboxLibrary, hook_class: str) -> None:
    """Airflow itself masks the password as it is written, here with blanks around it."""
    from airflow.providers.common.compat.sdk import redact

    key = f"sk-known-to-this-test-alone-with-{hook_class}"
    assert key in str(redact(f"the key {key} in a text"))
    assert connect(library.sandbox.base_url, f"  {key}\n").settings.api_key.reveal() == key
    assert key not in str(redact(f"the key {key} in a text"))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_key_repeated_by_the_server_is_not_in_the_retry_log(
    hook: MediaHook, library: SandboxLibrary, image: Path, seen: Callable[[], str], method: str
) -> None:
    key = library.sandbox.api_key
    for body in ({"message": f"busy with {key}"}, {"text": "z" * 190 + key}):
        library.fail("status", method, status=502, body=body)
    hook.upload(image)
    text = seen()
    assert text.count("HTTP 502") >= 2
    assert key not in text
    assert key[:8] not in text


def hang_up(_: str) -> list[bytes]:
    return []


def half_a_response(_: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{KEY}".encode()


@both_hooks
@pytest.mark.parametrize("response", [hang_up, half_a_response])
def test_no_variable_of_a_broken_connection_shows_the_key(connect: Any, raw_server: Any, response: Any) -> None:
    server = raw_server(response)
    hook = connect(server.url, KEY, max_attempts=1)
    with pytest.raises(MediaError) as raised:
        hook.get_media(1)
    assert any(f"X-Api-Key: {KEY}" in head for head in server.heads)
    assert "base_url=" in variables_of(raised.value)
    assert KEY not in variables_of(raised.value)


@both_hooks
def test_no_variable_shows_the_key_where_nothing_listens(connect: Any) -> None:
    with pytest.raises(MediaError) as raised:
        connect("http://127.0.0.1:9", KEY, max_attempts=1).get_media(1)
    assert KEY not in variables_of(raised.value)


@both_hooks
@pytest.mark.parametrize("method", ["connect", "_push", "getresponse"])
def test_no_variable_shows_the_key_when_a_signal_stops_the_task(
    connect: Any, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Airflow stops a task by an exception out of a signal handler, wherever the task is."""
    from airflow_provider_media._transports import upload_connection as connection

    class StoppedError(Exception):
        pass

    def stop(*_: Any, **__: Any) -> None:
        raise StoppedError

    hook = connect(library.sandbox.base_url, library.sandbox.api_key)
    monkeypatch.setattr(connection._EarlyResponseMixin, method, stop)
    with pytest.raises(StoppedError) as raised:
        hook.get_media(1)
    variables = variables_of(raised.value)
    assert "urlopen: headers = " in variables
    assert library.sandbox.api_key not in variables


@both_hooks
@pytest.mark.parametrize(
    "fields",
    [
        {"host": "https://media.example:port"},
        {"host": f"https://{KEY}@media.example"},
        {"host": f"https:/user:{KEY}@media.example"},
        {"host": f"https://media.example/api?key={KEY}"},
        {"host": f"media.example/{KEY}"},
        {"host": f"{KEY.upper()}.example"},
        {"extra": {"timeout": KEY}},
        {"extra": {KEY: 1}},
    ],
)
def test_a_wrong_connection_shows_no_key(
    hook_class: str, monkeypatch: pytest.MonkeyPatch, seen: Callable[[], str], fields: dict[str, Any]
) -> None:
    import json

    from airflow_provider_media.hooks import media
    from tests.contract.helpers.blocking import BlockingHook

    monkeypatch.setenv("AIRFLOW_CONN_MEDIA_WRONG", json.dumps({"conn_type": "media", "password": KEY, **fields}))
    hook: Any = getattr(media, hook_class)("media_wrong")
    hook = hook if isinstance(hook, MediaHook) else BlockingHook(hook)
    with pytest.raises(MediaError) as raised:
        hook.get_media(1)
    hook.close()
    message = "".join(traceback.format_exception(raised.value))
    assert KEY.lower() not in (message + seen()).lower()
    if KEY.lower() not in str(fields).lower():
        assert KEY not in variables_of(raised.value)


@both_hooks
@pytest.mark.parametrize("form", ["plain", "percent-encoded"])
def test_a_key_in_the_address_of_a_file_reaches_no_result(connect: Any, raw_server: Any, form: str) -> None:
    key = "ab/cd+ef==x-7"
    written = key if form == "plain" else "ab%2Fcd%2Bef%3D%3Dx-7"
    entry = {"id": 7, "name": "banner", "size": 3, "url": f"http://cdn.example/7.png?key={written}&w=2"}
    server = raw_server(lambda head: http_response(200, [entry] if "/7 " not in head else entry))
    hook = connect(server.url, key)
    expected = "http://cdn.example/7.png?key=***&w=2"
    assert hook.get_media(7).url == expected
    assert hook.list_page(limit=1).items[0].url == expected


class _ImageHandler(BaseHTTPRequestHandler):
    """Serves one image; everything else is not there."""

    def do_GET(self) -> None:
        content = PNG if "/banner.png" in self.path else b""
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        self.send_response(404 if not content else 206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {part[1]}-{part[2]}/{len(content)}")
            content = content[int(part[1]) : int(part[2]) + 1]
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 - named by http.server

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def image_host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _ImageHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.filterwarnings("ignore")  # of fsspec's HTTP client
@pytest.mark.parametrize(
    "address",
    [
        "http://{host}/{name}?X-Amz-Date=1&X-Amz-Signature=s3cr3t-s3cr3t",
        "http://{host}/{name}?sv=2026&sig=s3cr3t-s3cr3t%2F",
        "http://{host}/{name}?token=s3cr3t-s3cr3t",
    ],
)
def test_a_signed_address_of_a_file_shows_in_no_name_log_or_error(
    hook: MediaHook, library: SandboxLibrary, image_host: str, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    upath = pytest.importorskip("upath")
    caplog.set_level(logging.DEBUG, "airflow_provider_media")
    uploaded = hook.upload(upath.UPath(address.format(host=image_host, name="banner.png")))
    assert uploaded.media.name == "banner.png"
    with pytest.raises(MediaError, match=r"/missing\.png\?\*\*\*' cannot be uploaded") as raised:
        hook.upload(upath.UPath(address.format(host=image_host, name="missing.png")))
    own = [record.getMessage() for record in caplog.records if record.name.startswith("airflow")]
    shown = "".join(traceback.format_exception(raised.value)) + "".join(own) + str(library.files())
    assert "s3cr3t" not in shown

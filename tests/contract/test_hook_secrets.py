"""The key is told to nobody: not in texts of errors, not in representations, not in logs."""

from __future__ import annotations

import logging
import re
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaError
from airflow_provider_media.hooks.media import MediaHook
from tests.contract.helpers.blocking import both_hooks
from tests.contract.helpers.raw_server import answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.helpers.sandbox_library import SandboxLibrary

KEY = "sk-live-4f5e6d7c8b9a"


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Everything that was logged or printed so far, the libraries' debug lines included.

    Only httpcore's are left out: they tell the answer's headers as they came, for Airflow's masker to strike out.
    """
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "httpcore")
    return lambda: caplog.text + "".join(capfd.readouterr())


ECHOES = [
    {"message": f"The key {KEY} is not valid."},
    {"message": "x" * 190 + KEY},
    f"<html>{KEY}</html>",
    "y" * 185 + KEY,
]


@both_hooks
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404])
@pytest.mark.parametrize("echo", ECHOES, ids=["in a message", "cut off in a message", "in a page", "cut off in a page"])
def test_a_server_that_repeats_the_key_does_not_get_it_into_an_error(
    connect: Any, raw_server: Any, seen: Callable[[], str], status: int, echo: Any
) -> None:
    server = raw_server(lambda _: answer(status, echo, f"X-Request-Id: {KEY}", f"Location: http://h/?key={KEY}"))
    hook = connect(server.url, KEY)
    with pytest.raises(MediaError) as raised:
        hook.get_media(1)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + repr(vars(raised.value))
    told = hook.test_connection()[1] if isinstance(hook, MediaHook) else ""
    for text in (shown, told, seen()):
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
def test_a_key_that_is_escaped_does_not_get_into_an_error_either(
    connect: Any, raw_server: Any, seen: Callable[[], str], written: str, fill: str
) -> None:
    server = raw_server(lambda _: answer(401, fill + written, f"X-Request-Id: {written}"))
    with pytest.raises(MediaError, match=r"\*\*\*") as raised:
        connect(server.url, 'ab/cd+ef=="x').get_media(1)
    for text in (str(raised.value), repr(vars(raised.value)), seen()):
        assert not re.search(r"ab\S{0,8}cd", text)
        assert fill + "ab/" not in text


def test_a_whole_life_of_a_file_logs_no_key(
    hook: MediaHook, library: SandboxLibrary, picture: Path, seen: Callable[[], str]
) -> None:
    library.fail("status", status=503)
    library.fail("store_then_drop")
    library.fail("status", "DELETE", status=502)
    media = hook.upload(picture).media
    hook.delete(media.id)
    text = seen()
    assert "Trying again" in text
    assert library.sandbox.api_key not in text


def test_no_representation_shows_the_key(connect: Any, library: SandboxLibrary) -> None:
    hook = connect(library.sandbox.base_url, library.sandbox.api_key)
    hook.list_page()
    transport = hook.get_conn()
    for thing in (hook, hook.settings, transport, vars(hook), vars(transport)["_settings"]):
        assert library.sandbox.api_key not in repr(thing)


@both_hooks
def test_the_key_as_it_is_sent_is_told_to_airflows_masker(
    connect: Any, library: SandboxLibrary, hook_class: str
) -> None:
    """Airflow itself masks the password as it is written, here with blanks around it."""
    from airflow.providers.common.compat.sdk import redact

    key = f"sk-known-to-this-test-alone-with-{hook_class}"
    assert key in str(redact(f"the key {key} in a text"))
    assert connect(library.sandbox.base_url, f"  {key}\n").settings.api_key == key
    assert key not in str(redact(f"the key {key} in a text"))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_server_that_repeats_the_key_does_not_get_it_into_the_log_of_a_retry(
    hook: MediaHook, library: SandboxLibrary, picture: Path, seen: Callable[[], str], method: str
) -> None:
    key = library.sandbox.api_key
    for body in ({"message": f"busy with {key}"}, {"text": "z" * 190 + key}):
        library.fail("status", method, status=502, body=body)
    hook.upload(picture)
    text = seen()
    assert text.count("the server answered 502") >= 2
    assert key not in text
    assert key[:8] not in text

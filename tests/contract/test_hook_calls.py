"""The hook's calls against the sandbox: list, walk, get, find, delete, and the pace of them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._airflow import connection as connection_module
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaNotFoundError,
    MediaResponseError,
)
from tests.contract.helpers.blocking import both_hooks

if TYPE_CHECKING:
    from airflow_provider_media.hooks.media import MediaHook
    from tests.contract.helpers.raw_server import RawServer
    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def ids(library: SandboxLibrary) -> list[int]:
    found = [library.store(name, PNG + bytes(size)) for name, size in (("b", 1), ("a", 3), ("b", 2))]
    library.forget()
    return found


@both_hooks
def test_a_page_has_its_items_and_the_total(hook: MediaHook, ids: list[int]) -> None:
    page = hook.list_page(limit=2, sort_by="id", sort_order="asc")
    assert ([media.id for media in page], page.total, page.page, page.limit) == (ids[:2], 3, 0, 2)
    assert [media.id for media in hook.list_page(page=1, limit=2, sort_by="id", sort_order="asc")] == ids[2:]
    assert len(hook.list_page(page=7)) == 0


@both_hooks
@pytest.mark.parametrize(
    ("sort_by", "order"), [("id", [0, 1, 2]), ("name", [1, 0, 2]), ("size", [0, 2, 1]), ("createdAt", [0, 1, 2])]
)
def test_server_sorts_the_list(hook: MediaHook, ids: list[int], sort_by: str, order: list[int]) -> None:
    page = hook.list_page(sort_by=sort_by, sort_order="asc")
    assert [media.id for media in page] == [ids[place] for place in order]


@both_hooks
@pytest.mark.parametrize(
    "arguments", [{"page": -1}, {"limit": 0}, {"limit": 1001}, {"sort_by": "x"}, {"sort_order": "x"}]
)
def test_invalid_list_arguments_are_rejected_without_a_request(
    hook: MediaHook, library: SandboxLibrary, arguments: dict[str, Any]
) -> None:
    with pytest.raises(MediaConfigurationError, match=next(iter(arguments))):
        hook.list_page(**arguments)
    assert library.journal() == []


@both_hooks
@pytest.mark.parametrize("page_size", [1, 2, 3, 1000])
def test_iter_media_returns_each_file_once(hook: MediaHook, ids: list[int], page_size: int) -> None:
    assert [media.id for media in hook.iter_media(page_size=page_size, sort_by="id", sort_order="desc")] == ids[::-1]


@both_hooks
def test_iter_media_requests_pages_on_demand(hook: MediaHook, ids: list[int], library: SandboxLibrary) -> None:
    walk = hook.iter_media(page_size=1)
    assert library.journal() == []
    next(walk)
    assert len(library.journal()) == 1


@both_hooks
def test_invalid_page_size_is_rejected_before_the_first_request(hook: MediaHook) -> None:
    with pytest.raises(MediaConfigurationError, match="limit"):
        hook.iter_media(page_size=0)


@both_hooks
def test_endlessly_repeated_page_is_an_error(connect: Any, raw_server: Any) -> None:
    from tests.contract.helpers.raw_server import http_response

    server: RawServer = raw_server(lambda _: http_response(200, {"items": [{"id": 1}, {"id": 2}]}))
    with pytest.raises(MediaResponseError, match="seems to ignore the page number"):
        list(connect(server.url).iter_media(page_size=2))
    assert len(server.heads) < 10


@both_hooks
def test_get_and_exists(hook: MediaHook, ids: list[int]) -> None:
    media = hook.get_media(str(ids[1]))
    assert (media.id, media.name, media.size, media.mime_type) == (ids[1], "a", 11, "image/png")
    assert media.created_at is not None
    assert (hook.exists(ids[1]), hook.exists(ids[2] + 1)) == (True, False)
    with pytest.raises(MediaNotFoundError, match="the library has no such file") as raised:
        hook.get_media(ids[2] + 1)
    assert raised.value.status == 404
    assert raised.value.request_id is not None
    assert raised.value.server_message is not None


@both_hooks
@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_exists_is_false_for_404_only(connect: Any, library: SandboxLibrary, status: int) -> None:
    library.fail("status", "GET", status=status, times=5)
    hook = connect(library.sandbox.base_url, max_attempts=2)
    with pytest.raises(Exception, match=f"HTTP {status}"):
        hook.exists(1)


@both_hooks
def test_find_returns_exact_names_oldest_first(hook: MediaHook, ids: list[int]) -> None:
    assert [media.id for media in hook.find_media("b")] == [ids[0], ids[2]]
    assert hook.find_media("B") == []


def test_delete_deletes(hook: MediaHook, ids: list[int], library: SandboxLibrary) -> None:
    hook.delete(ids[0])
    assert [media["id"] for media in library.files()] == ids[1:]
    with pytest.raises(MediaNotFoundError):
        hook.delete(ids[0])


def test_allow_delete_false_refuses_every_delete_without_a_request(
    connect: Any, library: SandboxLibrary, ids: list[int]
) -> None:
    hook = connect(library.sandbox.base_url, allow_delete="false")
    with pytest.raises(MediaConfigurationError, match="does not allow deletions"):
        hook.delete(ids[0])
    with pytest.raises(MediaConfigurationError, match="does not allow deletions"):
        hook.upload("nowhere.png", if_exists="replace")
    assert library.journal() == []


@pytest.mark.parametrize("media_id", ["", "None", None])
def test_empty_id_is_rejected_without_a_request(hook: MediaHook, library: SandboxLibrary, media_id: Any) -> None:
    for method in (hook.get_media, hook.exists, hook.delete):
        with pytest.raises(MediaConfigurationError, match="is not a media id"):
            method(media_id)
    assert library.journal() == []


@both_hooks
def test_a_wrong_key_is_an_auth_error(connect: Any, library: SandboxLibrary) -> None:
    with pytest.raises(MediaAuthError, match="check the API key in the connection") as raised:
        connect(library.sandbox.base_url, "another-key").get_media(1)
    assert raised.value.status == 401


@both_hooks
def test_requests_keep_the_rate_of_the_connection(connect: Any, library: SandboxLibrary) -> None:
    hook = connect(library.sandbox.base_url, requests_per_second=20)
    started = time.monotonic()
    for _ in range(4):
        hook.list_page()
    assert time.monotonic() - started >= 3 / 20
    assert library.count("GET") == 4


@both_hooks
@pytest.mark.parametrize(("host", "warnings"), [("http://media.example", 1), ("https://media.example", 0)])
def test_unencrypted_key_warns_once(
    connect: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, host: str, warnings: int
) -> None:
    monkeypatch.setattr(connection_module, "_warned_of", set())
    logging.getLogger("airflow").setLevel(logging.INFO)
    for _ in range(2):
        assert connect(host).settings.base_url == host
    assert caplog.text.count("sends the API key unencrypted") == warnings


@both_hooks
def test_a_wrong_extra_is_a_configuration_error_that_names_it(connect: Any) -> None:
    with pytest.raises(MediaConfigurationError, match="extra 'timeout' must be a number greater than 0, not 'abc'"):
        connect("http://127.0.0.1:1", timeout="abc").get_media(1)

"""Platforms that change what they store, or show it late: no file is sent twice, none is deleted that is needed."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaError, MediaResponseError
from airflow_provider_media.sandbox.server import run_in_thread
from airflow_provider_media.sandbox.settings import SandboxSettings
from tests.contract.helpers.raw_server import http_response
from tests.contract.helpers.sandbox_library import SandboxLibrary
from tests.contract.helpers.syncing import PNG, Folder, Syncing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_media.hooks.media import MediaHook

NAME = "Summer Week/Caf\u0065\u0301 Menu of the Day.PNG"


@pytest.fixture
def serve() -> Iterator[Callable[..., SandboxLibrary]]:
    """Run a sandbox that behaves as the test says: ``serve(names="slug")``."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(**settings: Any) -> SandboxLibrary:
            sandbox = SandboxSettings(api_key="key-of-the-tests", **settings)
            return SandboxLibrary(stack.enter_context(run_in_thread(sandbox)))

        yield start


@pytest.fixture
def hook_for(connect: Any, serve: Any) -> Callable[..., tuple[MediaHook, SandboxLibrary]]:
    def make(extra: dict[str, Any] | None = None, **settings: Any) -> tuple[MediaHook, SandboxLibrary]:
        library = serve(**settings)
        return connect(library.sandbox.base_url, **(extra or {})), library

    return make


@pytest.mark.parametrize("types", ["legacy", "family", "octet-stream", "absent"])
@pytest.mark.parametrize("if_exists", ["reuse", "replace"])
def test_a_type_that_reads_differently_is_no_other_type(
    types: str, if_exists: str, hook_for: Any, image: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook, library = hook_for(types=types)
    first = hook.upload(image)
    assert ("changed what it stored" in caplog.text) is (types != "absent")
    second = hook.upload(image, if_exists=if_exists)
    assert second.created is (if_exists == "replace")
    assert second.replaced == ((first.media.id,) if if_exists == "replace" else ())
    assert len(library.files()) == 1


@pytest.mark.parametrize("names", ["trimmed", "lower", "slug", "short"])
def test_a_changed_name_is_one_warning_that_says_what_helps(
    names: str, hook_for: Any, image: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hook, library = hook_for(names=names)
    media = hook.upload(image, name=NAME).media
    assert media.name == library.files()[0]["name"] != NAME
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert f"{NAME!r} -> {media.name!r}" in warnings[0]
    assert f"pass name={media.name!r}" in warnings[0]
    assert hook.upload(image, name=media.name, if_exists="reuse").media.id == media.id


@pytest.mark.parametrize("names", ["trimmed", "lower", "slug", "short"])
@pytest.mark.parametrize("brief_lists", [False, True])
def test_a_renamed_file_is_recognized_by_its_description(
    names: str, hook_for: Any, image: Path, *, brief_lists: bool
) -> None:
    hook, library = hook_for({"accept_converted": True}, names=names, brief_lists=brief_lists)
    first = hook.upload(image, name=NAME, if_exists="reuse")
    assert hook.upload(image, name=NAME, if_exists="reuse").media.id == first.media.id
    other = hook.upload(image, name=f"{NAME} ", if_exists="reuse")  # may be stored under the same name
    assert other.created
    assert hook.upload(image, name=NAME, if_exists="replace").replaced == (first.media.id,)
    assert {other.media.id} < {media["id"] for media in library.files()}
    assert len(library.files()) == 2


@pytest.mark.parametrize("if_exists", ["upload", "reuse", "replace"])
def test_a_converted_file_is_an_error_that_names_the_id_and_the_setting(
    if_exists: str, hook_for: Any, image: Path
) -> None:
    hook, library = hook_for(reencodes=True)
    with pytest.raises(MediaResponseError, match="accept_converted") as caught:
        hook.upload(image, if_exists=if_exists)
    assert f"stored as {library.files()[0]['id']}," in str(caught.value)


@pytest.mark.parametrize("brief_lists", [False, True])
def test_converted_files_are_accepted_where_the_connection_says_so(
    hook_for: Any, image: Path, *, brief_lists: bool
) -> None:
    hook, library = hook_for({"accept_converted": "true"}, reencodes=True, brief_lists=brief_lists)
    first = hook.upload(image, if_exists="reuse")
    assert first.media.size == image.stat().st_size + 24
    assert hook.upload(image, if_exists="reuse").media.id == first.media.id
    image.write_bytes(PNG + b"of today")
    second = hook.upload(image, if_exists="replace")
    assert second.replaced == (first.media.id,)
    assert [media["id"] for media in library.files()] == [second.media.id]


@pytest.mark.parametrize("size", [0, None])
@pytest.mark.parametrize("if_exists", ["upload", "replace"])
def test_a_file_that_is_processed_for_a_while_is_waited_for(
    size: Any, if_exists: str, hook_for: Any, image: Path
) -> None:
    hook, library = hook_for({"settle_seconds": 10}, processing_seconds=0.3, processing_size=size)
    library.store("banner.png", PNG)
    media = hook.upload(image, if_exists=if_exists).media
    assert media.size == image.stat().st_size
    assert len(library.files()) == (2 if if_exists == "upload" else 1)


def test_a_get_that_lags_is_waited_out(hook_for: Any, image: Path) -> None:
    hook, library = hook_for({"settle_seconds": 10}, get_lag_seconds=0.3)
    old = library.store("banner.png", PNG)
    assert hook.upload(image, if_exists="replace").replaced == (old,)
    assert len(library.files()) == 1


@pytest.mark.parametrize("same", [True, False])
def test_no_writer_of_one_name_ends_because_another_replaced_its_file(
    connect: Any, serve: Any, tmp_path: Path, *, same: bool
) -> None:
    library = serve()
    conn_id = connect(library.sandbox.base_url, settle_seconds=1).media_conn_id
    library.store("banner.png", PNG)
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        from airflow_provider_media.hooks.media import MediaHook

        path = tmp_path / f"{number}.png"
        path.write_bytes(PNG + (b"same" if same else b"n" * number))
        hook = MediaHook(conn_id)
        try:
            start.wait()
            for _ in range(4):
                hook.upload(path, name="banner.png", if_exists="replace")
        except MediaError as error:
            errors.append(error)
        finally:
            hook.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert library.files()


@pytest.mark.parametrize(
    "settings",
    [
        {"types": "legacy"},
        {"types": "absent"},
        {"types": "family", "names": "slug"},
        {"names": "short"},
        {"reencodes": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("brief_lists", [False, True])
def test_a_sync_sends_nothing_twice_with_fingerprints(
    settings: dict[str, Any], folder: Folder, connect: Any, serve: Any, *, brief_lists: bool
) -> None:
    library = serve(brief_lists=brief_lists, **settings)
    sync = Syncing(
        folder.root, connect(library.sandbox.base_url, accept_converted="reencodes" in settings).media_conn_id
    )
    folder.write("Summer Banner of the Week.png", "b/A menu.PNG", "b/a menu.png", "c.png")
    first = sync(fingerprint=True)
    library.forget()
    second = sync(fingerprint=True)
    assert library.count("POST") == library.count("DELETE") == 0
    assert {path: entry["id"] for path, entry in second.items()} == {path: entry["id"] for path, entry in first.items()}

    folder.write("b/A menu.PNG", content=b"another of the same name")
    third = sync(fingerprint=True)
    assert {entry["id"] for entry in third.values()} <= {media["id"] for media in library.files()}
    # A list without descriptions does not show under which name a file of another size was sent.
    is_old_hidden = brief_lists and "names" in settings and settings["names"] == "slug"
    assert len(library.files()) == (5 if is_old_hidden else 4)


@pytest.mark.parametrize("fault", ["store_then_drop", "reset_mid_body"])
def test_a_file_stored_seconds_before_is_not_taken_for_the_new_one(fault: str, hook_for: Any, image: Path) -> None:
    hook, library = hook_for({"settle_seconds": 6}, list_lag_seconds=3)
    first = hook.upload(image).media
    library.fail(fault, **({"after_bytes": 10} if fault == "reset_mid_body" else {}))
    second = hook.upload(image).media
    assert second.id != first.id
    assert second.id == library.stored()[-1]["id"]
    assert len(library.stored()) == 2


@pytest.mark.parametrize("if_exists", ["reuse", "replace", "fail"])
def test_a_file_stored_seconds_before_is_known_although_the_list_lags(
    if_exists: str, hook_for: Any, image: Path
) -> None:
    hook, library = hook_for({"settle_seconds": 60}, list_lag_seconds=60)
    first = hook.upload(image).media
    if if_exists == "fail":
        with pytest.raises(MediaError, match=rf"a file with this name exists .*: {first.id} "):
            hook.upload(image, if_exists=if_exists)
        return
    second = hook.upload(image, if_exists=if_exists)
    assert second.replaced == ((first.id,) if if_exists == "replace" else ())
    assert [media["id"] for media in library.stored()] == [second.media.id]


@pytest.mark.parametrize(
    "settings",
    [{"names": "slug"}, {"names": "short", "types": "absent"}, {"reencodes": True, "names": "lower"}],
    ids=str,
)
@pytest.mark.parametrize("brief_lists", [False, True])
def test_a_sync_sends_nothing_twice_with_its_manifest(
    settings: dict[str, Any], folder: Folder, connect: Any, serve: Any, tmp_path: Path, *, brief_lists: bool
) -> None:
    library = serve(brief_lists=brief_lists, **settings)
    conn_id = connect(library.sandbox.base_url, accept_converted="reencodes" in settings).media_conn_id
    sync = Syncing(folder.root, conn_id)
    folder.write("Summer Banner of the Week.png", "b/A menu.PNG", "b/a menu.png", "c.png")
    arguments = {"manifest_path": str(tmp_path / "manifest.json")}
    first = sync(**arguments)
    library.forget()
    second = sync(**arguments)
    assert library.count("POST") == library.count("DELETE") == 0
    assert {path: entry["id"] for path, entry in second.items()} == {path: entry["id"] for path, entry in first.items()}

    folder.write("b/A menu.PNG", content=b"another of the same name")
    third = sync(**arguments)
    assert third["b/A menu.PNG"]["action"] == "replace"
    assert {entry["id"] for entry in third.values()} == {media["id"] for media in library.files()}


@pytest.mark.parametrize("lags", [{"list_lag_seconds": 60}, {"list_lag_seconds": 1, "get_lag_seconds": 1}], ids=str)
def test_a_second_sync_with_the_manifest_of_the_first_sends_nothing_although_the_library_lags(
    lags: dict[str, Any], folder: Folder, connect: Any, serve: Any, tmp_path: Path
) -> None:
    library = serve(**lags)
    sync = Syncing(folder.root, connect(library.sandbox.base_url, settle_seconds=5).media_conn_id)
    folder.write("a.png", "b.png", "c/d.png")
    first = sync(manifest_path=str(tmp_path / "manifest.json"))
    second = sync(manifest_path=str(tmp_path / "manifest.json"))
    assert library.count("POST") == 3
    assert {entry["id"] for entry in first.values()} == {entry["id"] for entry in second.values()}


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"a.png": {"id": 1}}', '{"a.png": {"id": 1, "name": "x", "size": "9"}}']
)
def test_a_manifest_that_cannot_be_read_is_ignored(
    content: str, folder: Folder, connect: Any, serve: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    folder.write("a.png")
    library = serve()
    manifest = Syncing(folder.root, connect(library.sandbox.base_url).media_conn_id)(manifest_path=str(path))
    assert manifest["a.png"]["action"] == "create"
    assert "Could not read the manifest of an earlier sync" in caplog.text


@pytest.mark.parametrize("change", [{"id": 2}, {"name": "b.png"}, {"stored": {"name": "x", "size": 5}}], ids=str)
def test_a_manifest_entry_that_does_not_fit_the_library_is_not_believed(
    change: dict[str, Any], folder: Folder, connect: Any, serve: Any, tmp_path: Path
) -> None:
    library = serve(names="slug")
    sync = Syncing(folder.root, connect(library.sandbox.base_url).media_conn_id)
    folder.write("A File.png")
    path = tmp_path / "manifest.json"
    manifest = sync(manifest_path=str(path))
    library.store("of somebody else", PNG + b"A File.png")
    path.write_text(json.dumps({"A File.png": manifest["A File.png"] | change}))
    assert sync(manifest_path=str(path))["A File.png"]["action"] == "create"
    assert len(library.files()) == 3


@pytest.mark.parametrize("kept", [1, 3])
def test_a_kept_file_that_only_a_stale_list_shows_is_sent_again(
    kept: int, folder: Folder, connect: Any, serve: Any
) -> None:
    library = serve(list_lag_seconds=1)
    sync = Syncing(folder.root, connect(library.sandbox.base_url).media_conn_id)
    folder.write(*(f"{number}.png" for number in range(kept)))
    first = sync()
    deadline = time.monotonic() + 10
    while len(library.files()) < kept:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    library.delete(first["0.png"]["id"])
    second = sync()
    assert second["0.png"]["action"] == "create"
    assert {entry["id"] for entry in second.values()} == {media["id"] for media in library.stored()}


@pytest.mark.parametrize("kept", [2, 30])
def test_a_kept_file_that_is_deleted_during_the_sync_is_sent_again(
    kept: int, folder: Folder, connect: Any, serve: Any
) -> None:
    library = serve()
    sync = Syncing(folder.root, connect(library.sandbox.base_url).media_conn_id)
    folder.write(*(f"{number}.png" for number in range(kept)))
    first = sync()
    folder.write("1.png", content=b"another version")
    gone = [first["0.png"]["id"]]

    def other_deletes(_media: Any) -> list[str]:
        while gone:
            library.delete(gone.pop())
        return []

    second = sync(references=other_deletes)
    assert {entry["id"] for entry in second.values()} == {media["id"] for media in library.files()}
    assert len(second) == kept


def test_a_kept_id_that_is_another_file_by_now_is_not_in_the_manifest(
    folder: Folder, connect: Any, raw_server: Any
) -> None:
    entry = {"name": "banner.png", "mimeType": "image/png", "size": len(PNG), "url": "http://h/x"}

    def reply(head: str) -> bytes:
        if head.startswith("POST"):
            return http_response(201, {"id": 2, **entry})
        if "/media/1 " in head:
            return http_response(200, {"id": 1, **entry, "name": "another.png"})
        return http_response(200, {"items": [{"id": 1, **entry}], "total": 1})  # a list that is out of date

    folder.write("banner.png", content=b"")
    manifest = Syncing(folder.root, connect(raw_server(reply).url).media_conn_id)()
    assert [(one["id"], one["action"]) for one in manifest.values()] == [(2, "create")]


@pytest.mark.parametrize(
    "settings", [{"list_lag_seconds": 60}, {"names": "slug"}, {"names": "short", "types": "absent"}]
)
def test_a_sync_that_is_retried_at_once_sends_no_file_twice(
    settings: dict[str, Any], folder: Folder, connect: Any, serve: Any
) -> None:
    library = serve(**settings)
    sync = Syncing(folder.root, connect(library.sandbox.base_url).media_conn_id)
    folder.write(*(f"Summer Banner Number {number}.png" for number in range(4)))
    for sent_before_the_failure in (2, 0):
        library.fail("status", status=400, skip=sent_before_the_failure)
        with pytest.raises(MediaError, match="1 of 4 files failed"):
            sync()
    manifest = sync()
    stored = [media["id"] for media in library.stored()]
    assert len(stored) == len(manifest) == 4
    assert {entry["id"] for entry in manifest.values()} == set(stored)


@pytest.mark.parametrize("arguments", [{}, {"fingerprint": True}, {"manifest_path": "manifest.json"}], ids=str)
def test_a_sync_logs_one_warning_of_all_changes(
    arguments: dict[str, Any],
    folder: Folder,
    connect: Any,
    serve: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = serve(names="slug", types="legacy")
    arguments = {key: str(tmp_path / value) if key == "manifest_path" else value for key, value in arguments.items()}
    folder.write("A.png", "b.png")
    Syncing(folder.root, connect(library.sandbox.base_url).media_conn_id)(**arguments)
    [warning] = [message for message in caplog.messages if "changed what it stored" in message]
    assert "A.png  name 'A.png' -> 'a.png', type 'image/png' -> 'image/x-png'" in warning
    assert "b.png  type 'image/png' -> 'image/x-png'" in warning
    assert ("so that later runs recognize them" in warning) is (not arguments)


@pytest.mark.parametrize("other", [{"id": 4}, {"id": "7", "name": "of somebody else"}], ids=str)
def test_a_get_that_returns_another_files_entry_leads_to_the_list(
    other: dict[str, Any], raw_server: Any, connect: Any
) -> None:
    entry = {"id": 3, "name": "banner.png", "size": 9, "mimeType": "image/png", "url": "http://h/3"}
    server = raw_server(
        lambda head: http_response(200, [entry] if "page=0" in head else [] if "page=" in head else other)
    )
    hook = connect(server.url)
    assert hook.get_media(3).name == "banner.png"
    assert hook.exists(3)
    with pytest.raises(MediaResponseError, match="describes media"):
        hook.get_media(5)


@pytest.mark.parametrize("arguments", [{}, {"fingerprint": True}, {"folder_id": 5}], ids=str)
@pytest.mark.parametrize("brief_lists", [False, True])
def test_a_second_sync_sends_nothing_although_gets_lag(
    arguments: dict[str, Any], folder: Folder, connect: Any, serve: Any, *, brief_lists: bool
) -> None:
    library = serve(get_lag_seconds=0.5, brief_lists=brief_lists)
    sync = Syncing(folder.root, connect(library.sandbox.base_url, settle_seconds=5).media_conn_id)
    folder.write("a.png", "b.png", "c/d.png")
    first = sync(**arguments)
    second = sync(**arguments)
    assert library.count("POST") == 3
    assert {entry["id"] for entry in first.values()} == {entry["id"] for entry in second.values()}


@pytest.mark.parametrize("lags", [{"brief_lists": True}, {"list_lag_seconds": 60}], ids=str)
@pytest.mark.parametrize("if_exists", ["reuse", "replace"])
def test_a_file_stored_just_before_is_known_although_gets_lag(
    lags: dict[str, Any], if_exists: str, hook_for: Any, image: Path
) -> None:
    hook, library = hook_for({"settle_seconds": 10}, get_lag_seconds=0.5, **lags)
    first = hook.upload(image, folder_id=5).media
    second = hook.upload(image, folder_id=5, if_exists=if_exists)
    assert second.replaced == ((first.id,) if if_exists == "replace" else ())
    assert [media["id"] for media in library.stored()] == [second.media.id]

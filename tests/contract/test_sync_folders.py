"""A sync into one folder of the library, with files of the same names in other folders."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaConflictError, MediaError
from airflow_provider_media.references import ListedReferences
from tests.contract.helpers.raw_server import RawServer, http_response
from tests.contract.helpers.syncing import PNG, Folder, Syncing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def serve(raw_server: Callable[..., RawServer], connect: Any, folder: Folder) -> Any:
    """Serve files; the list leaves out what is named. Returns a sync into folder 5, and the server."""

    def begin(*files: dict[str, Any], list_leaves_out: tuple[str, ...] = ()) -> tuple[Syncing, RawServer]:
        library = [
            {"id": number, "mimeType": "image/png", "url": "http://h/x", **file} for number, file in enumerate(files, 1)
        ]

        def respond(head: str) -> bytes:
            target = head.split(" ")[1]
            if "limit=" not in target:
                return http_response(200, library[int(target.rpartition("/")[2]) - 1])
            listed = [{key: value for key, value in one.items() if key not in list_leaves_out} for one in library]
            return http_response(200, {"content": listed, "totalElements": len(listed)})

        server = raw_server(respond)
        sync = Syncing(folder.root, connect(server.url).media_conn_id)
        sync.arguments["folder_id"] = 5
        return sync, server

    return begin


def stored(name: str, *, size: int = 1, **fields: Any) -> dict[str, Any]:
    return {"name": name, "size": size, **fields}


def planned(sync: Syncing) -> list[tuple[str, Any, list[Any]]]:
    return [(step["action"], step["id"], step["old_ids"]) for step in sync(dry_run=True)["steps"]]


def test_a_folder_omitted_by_the_list_is_fetched(serve: Any, folder: Folder) -> None:
    folder.write("a.png", "b.png", content=b"")
    files = [stored("a.png", folderId=7), stored("b.png", folderId=5), stored("c.png", folderId=7)]
    sync, server = serve(*files, list_leaves_out=("folderId",))
    assert planned(sync) == [("create", None, []), ("replace", None, [2])]
    assert len(server.lines) == 4


def test_a_list_with_folders_needs_no_other_request(serve: Any, folder: Folder) -> None:
    names = [f"{number}.png" for number in range(20)]
    folder.write(*names, content=b"")
    sync, server = serve(*(stored(name, size=len(PNG), folderId=5) for name in names))
    assert {entry["action"] for entry in sync().values()} == {"keep"}
    assert len(server.lines) == 2


def test_a_file_of_unknown_folder_is_kept_if_identical(
    serve: Any, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write("a.png", content=b"")
    sync, _ = serve(stored("a.png", size=len(PNG)))
    with caplog.at_level(logging.INFO):
        assert planned(sync) == [("keep", 1, [])]
    assert "does not return the folder of 1 file, so" in caplog.text


def test_a_file_of_unknown_folder_is_never_replaced(serve: Any, folder: Folder) -> None:
    folder.write("a.png", "b.png")
    sync, server = serve(stored("a.png"))
    with pytest.raises(MediaConflictError, match=r"a.png  the API does not return the folder of 1, .*delete the"):
        sync()
    assert [line.split(" ")[0] for line in server.lines] == ["GET", "GET", "GET"]
    assert [step["action"] for step in sync(dry_run=True, if_changed="upload")["steps"]] == ["create", "create"]


@pytest.mark.parametrize("on_reference", ["fail", "skip"])
def test_sync_checks_references_by_an_id_that_only_a_get_shows(
    raw_server: Callable[..., RawServer], connect: Any, folder: Folder, tmp_path: Path, on_reference: str
) -> None:
    folder.write("a.png", content=b"new")
    old = stored("a.png", id=1, mimeType="image/png", url="http://h/1")
    new = stored("a.png", id=2, mimeType="image/png", url="http://h/2", size=len(PNG) + 3)
    listed = [old]

    def respond(head: str) -> bytes:
        method, target, _ = head.split(" ", 2)
        if method == "POST":
            listed.append(new)
            return http_response(201, new)
        if "limit=" in target:
            return http_response(200, {"content": listed, "totalElements": len(listed)})
        return http_response(200, new if target.endswith("/2") else old | {"mediaId": "med_1"})

    server = raw_server(respond)
    in_use = ListedReferences(path=tmp_path / "in-use.json")
    in_use.write(["med_1"])
    sync = Syncing(folder.root, connect(server.url).media_conn_id)
    with pytest.raises(MediaError, match=r"Uploaded as 2, but could not delete 1: Still in use: media 1 by"):
        sync(references=in_use, on_reference=on_reference)
    assert not [line for line in server.lines if line.startswith("DELETE")]

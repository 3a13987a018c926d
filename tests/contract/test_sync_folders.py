"""A sync into one folder of the library, with files of the same names in other folders."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaConflictError, MediaError, MediaInUseError
from airflow_provider_media.references import ListedReferences
from tests.contract.helpers.raw_server import RawServer, http_response
from tests.contract.helpers.syncing import PNG, Folder, Syncing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_media.models import Media


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


@pytest.fixture
def with_hidden_id(raw_server: Callable[..., RawServer], connect: Any, folder: Folder) -> tuple[Syncing, RawServer]:
    """A sync that replaces a file, whose second id only a GET shows, and one whose only id is listed."""
    folder.write("a.png", "b.png", content=b"new")
    olds = [
        stored(name, id=number, mimeType="image/png", url="http://h/1")
        for number, name in enumerate(["a.png", "b.png"], 1)
    ]
    listed = list(olds)

    def respond(head: str) -> bytes:
        method, target, _ = head.split(" ", 2)
        number = int(target.rpartition("/")[2]) if target.rpartition("/")[2].isdecimal() else 0
        if method == "POST":
            name = "a.png" if len(listed) == len(olds) else "b.png"
            listed.append(stored(name, id=len(listed) + 1, mimeType="image/png", url="http://h/2", size=len(PNG) + 3))
            return http_response(201, listed[-1])
        if method == "DELETE":
            return http_response(204)
        if "limit=" in target:
            return http_response(200, {"content": listed, "totalElements": len(listed)})
        return http_response(200, listed[number - 1] | ({"mediaId": "med_1"} if number == 1 else {}))

    server = raw_server(respond)
    sync = Syncing(folder.root, connect(server.url).media_conn_id)
    sync.arguments["max_workers"] = 1
    return sync, server


def deletions(server: RawServer) -> list[str]:
    return [line.split(" ")[1].rpartition("/")[2] for line in server.lines if line.startswith("DELETE")]


def test_sync_refuses_to_delete_by_an_id_that_only_a_get_shows(
    with_hidden_id: tuple[Syncing, RawServer], tmp_path: Path
) -> None:
    sync, server = with_hidden_id
    in_use = ListedReferences(path=tmp_path / "in-use.json")
    in_use.write(["med_1"])
    with pytest.raises(MediaInUseError, match=r"Uploaded as 3, but could not delete 1: Still in use: media 1 by"):
        sync(references=in_use)
    assert deletions(server) == ["2"]


def test_sync_keeps_a_file_that_is_in_use_by_its_hidden_id(
    with_hidden_id: tuple[Syncing, RawServer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sync, server = with_hidden_id
    in_use = ListedReferences(path=tmp_path / "in-use.json")
    in_use.write(["med_1"])
    manifest = sync(references=in_use, on_reference="skip")
    assert deletions(server) == ["2"]
    assert [entry["action"] for entry in manifest.values()] == ["create", "replace"]
    assert "Kept the old version beside the new one. Still in use: media 1 by" in caplog.text


def test_references_that_fail_for_a_hidden_id_fail_one_file(with_hidden_id: tuple[Syncing, RawServer]) -> None:
    sync, server = with_hidden_id

    def fail_for_both_ids(media: Media) -> list[str]:
        if media.alternate_id:
            raise RuntimeError("no connection")
        return []

    with pytest.raises(
        MediaError, match=r"^1 of 2 files failed.*\n.*delete 1: references failed \(RuntimeError: no con"
    ):
        sync(references=fail_for_both_ids, on_reference="skip")
    assert deletions(server) == ["2"]

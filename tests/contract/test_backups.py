"""Test downloads, and backups before deletions: no backup, no deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaFileError
from airflow_provider_media.operators.media import (
    MediaCleanupOperator,
    MediaDeleteOperator,
    MediaSyncOperator,
    MediaUploadOperator,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_media.hooks.media import MediaHook
    from tests.contract.helpers.sandbox_library import SandboxLibrary

OLD = b"\x89PNG\r\n\x1a\nold"
NEW = b"\x89PNG\r\n\x1a\nnewer"


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def delete(
    define: Any, library: SandboxLibrary, tmp_path: Path, backups: Path, request: pytest.FixtureRequest
) -> Callable[[int], Any]:
    """Delete a file of the name ``a/banner.png`` in the way of the test's parameter, with a backup."""
    (tmp_path / "files" / "a").mkdir(parents=True)
    (tmp_path / "files" / "a" / "banner.png").write_bytes(NEW)

    def run(media_id: int, **arguments: Any) -> Any:
        arguments = {"task_id": "delete", "media_conn_id": define(), "backup_to": str(backups), **arguments}
        file = tmp_path / "files" / "a" / "banner.png"
        operator: Any = {
            "delete": lambda: MediaDeleteOperator(media_id=media_id, **arguments),
            "lenient delete": lambda: MediaDeleteOperator(media_id=media_id, if_missing="ignore", **arguments),
            "cleanup": lambda: MediaCleanupOperator(name="a/banner.png", dry_run=False, **arguments),
            "replace": lambda: MediaUploadOperator(file=file, name="a/banner.png", if_exists="replace", **arguments),
            "sync": lambda: MediaSyncOperator(source=str(tmp_path / "files"), **arguments),
        }[request.param]()
        return operator.execute({})

    return run


ALL = pytest.mark.parametrize("delete", ["delete", "lenient delete", "cleanup", "replace", "sync"], indirect=True)


@ALL
def test_deleted_files_are_backed_up(delete: Any, library: SandboxLibrary, backups: Path) -> None:
    media_id = library.store("a/banner.png", OLD)
    delete(media_id)
    assert media_id not in [file["id"] for file in library.files()]
    assert {path.name: path.read_bytes() for path in backups.iterdir()} == {f"{media_id}-a%2Fbanner.png": OLD}


@ALL
def test_a_file_that_cannot_be_written_is_not_deleted(delete: Any, library: SandboxLibrary, backups: Path) -> None:
    media_id = library.store("a/banner.png", OLD)
    backups.write_bytes(b"not a folder")
    with pytest.raises(MediaError, match=rf"Could not download 'a/banner.png' \({media_id}\) to .*FileExistsError"):
        delete(media_id)
    assert media_id in [file["id"] for file in library.files()]
    assert library.count("DELETE") == 0


@pytest.mark.parametrize("delete", ["delete"], indirect=True)
def test_an_incomplete_backup_prevents_the_deletion(
    delete: Any, library: SandboxLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    media_id = library.store("a/banner.png", OLD)
    monkeypatch.setattr("airflow_provider_media._airflow.files.iter_chunks", lambda _: [memoryview(OLD[:-1])])
    with pytest.raises(MediaFileError, match="has 10 bytes instead of 11"):
        delete(media_id)
    assert library.count("DELETE") == 0


@pytest.mark.parametrize("delete", ["delete"], indirect=True)
def test_an_existing_backup_is_not_replaced(delete: Any, library: SandboxLibrary, backups: Path) -> None:
    media_id = library.store("a/banner.png", OLD)
    backups.mkdir()
    backup = backups / f"{media_id}-a%2Fbanner.png"
    backup.write_bytes(NEW)
    with pytest.raises(MediaFileError, match="exists and has another content"):
        delete(media_id)
    assert (backup.read_bytes(), library.count("DELETE")) == (NEW, 0)
    backup.write_bytes(OLD)  # of an interrupted attempt
    delete(media_id)
    assert library.count("DELETE") == 1


@pytest.mark.parametrize("delete", ["cleanup"], indirect=True)
def test_a_web_server_is_no_place_for_backups(delete: Any, library: SandboxLibrary) -> None:
    media_id = library.store("a/banner.png", OLD)
    with pytest.raises(MediaConfigurationError, match="backup_to cannot be written"):
        delete(media_id, backup_to="https://backups.example/")
    assert library.count("DELETE") == 0


def test_a_download_is_verified_and_complete(hook: MediaHook, library: SandboxLibrary, tmp_path: Path) -> None:
    media_id = library.store("banner.png", OLD)
    target = tmp_path / "new folder" / "banner.png"
    hook.download(media_id, target)
    hook.download(hook.get_media(media_id), str(target))
    assert [(path.name, path.read_bytes()) for path in target.parent.iterdir()] == [("banner.png", OLD)]

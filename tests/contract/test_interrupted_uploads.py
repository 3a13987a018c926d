"""Test that a retry adopts the file of an interrupted attempt only if it has the same content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media._upload import source
from tests.contract.helpers.upload_task import UploadTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"
SIZE = 3 * source.SAMPLE_BYTES
NOT_SAMPLED = 100_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "banner.png"
    path.write_bytes(PNG + os.urandom(SIZE - len(PNG)))
    return path


@pytest.fixture
def without_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is faster than the hash, and a file whose last change is not recent."""
    monkeypatch.setattr(source, "_RECENT_SECONDS", 0)
    monkeypatch.setattr(source.RunningDigest, "read", lambda *_: False)


def edit(file: Path, position: int = NOT_SAMPLED) -> None:
    """Change one byte; keep size and modification time."""
    before = file.stat()
    with file.open("r+b") as stream:
        stream.seek(position)
        byte = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([byte ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_copy(file: Path) -> None:
    copy = file.with_suffix(".copy")
    shutil.copyfile(file, copy)
    copy.replace(file)


def test_a_retry_adopts_the_file_of_a_killed_attempt(library: SandboxLibrary, define: Any, file: Path) -> None:
    task = UploadTask(file, define())
    task.run_until_stored()
    assert task.run()["id"] == library.files()[0]["id"]
    assert library.count("POST") == 1


@pytest.mark.parametrize("position", [NOT_SAMPLED, 0x20, SIZE - 1])
def test_an_edited_file_is_not_taken_for_the_old_one(
    library: SandboxLibrary, define: Any, file: Path, position: int
) -> None:
    task = UploadTask(file, define())
    task.run_until_stored()
    edit(file, position)
    task.run()
    assert library.count("POST") == 2


@pytest.mark.usefixtures("without_digest")
def test_the_change_time_shows_an_edit_without_a_digest(library: SandboxLibrary, define: Any, file: Path) -> None:
    task = UploadTask(file, define())
    task.run_until_stored()
    assert task.checkpoint["sha256"] is None
    task.run()
    assert library.count("POST") == 1
    edit(file)
    task = UploadTask(file, define())
    task.run_until_stored()
    edit(file)
    task.run()
    assert library.count("POST") == 3


@pytest.mark.parametrize("change", [Path.touch, replace_by_copy])
def test_a_copy_of_the_file_is_the_same_content(
    library: SandboxLibrary, define: Any, file: Path, change: Callable[[Path], None]
) -> None:
    task = UploadTask(file, define())
    task.run_until_stored()
    change(file)
    task.run()
    assert library.count("POST") == 1


def test_a_file_that_was_just_written_is_always_hashed(
    library: SandboxLibrary, define: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source.RunningDigest, "_MAX_FINISH_BYTES", 0)
    task = UploadTask(file, define())
    task.run_until_stored()
    assert (task.checkpoint["version"], len(task.checkpoint["sha256"])) == ({}, 64)
    assert library.count("POST") == 1

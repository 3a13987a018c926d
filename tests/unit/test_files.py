"""A small file is written as a whole, where its path leads to, and stays readable for those who could read it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_media._airflow.files import read_text, write_text


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("is_uri", [False, True])
@pytest.mark.parametrize("is_relative", [False, True])
def test_a_symbolic_link_stays_one_and_its_target_is_written(
    tmp_path: Path, *, is_relative: bool, is_uri: bool
) -> None:
    shared, here = tmp_path / "shared", tmp_path / "here"
    shared.mkdir()
    here.mkdir()
    target, link = shared / "list.json", here / "list.json"
    target.write_text("old")
    link.symlink_to(Path("..", "shared", "list.json") if is_relative else target)
    write_text(f"{link}" if not is_uri else _uri(link), "new")
    assert link.is_symlink()
    assert (target.read_text(), read_text(link)) == ("new", "new")
    assert [path.name for path in here.iterdir()] == [path.name for path in shared.iterdir()] == ["list.json"]


def _uri(path: Path) -> Any:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return ObjectStoragePath(f"file://{path}")


def test_a_chain_of_links_and_a_linked_folder_are_followed(tmp_path: Path) -> None:
    (tmp_path / "v2").mkdir()
    (tmp_path / "current").symlink_to("v2")
    (tmp_path / "v2" / "real.json").write_text("old")
    (tmp_path / "v2" / "second").symlink_to("real.json")
    (tmp_path / "first").symlink_to(tmp_path / "current" / "second")
    write_text(tmp_path / "first", "new")
    assert (tmp_path / "v2" / "real.json").read_text() == "new"
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "v2" / "second").is_symlink()


def test_a_link_whose_target_is_not_there_yet_creates_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("not yet.json")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "not yet.json").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_links_that_form_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=r"(?i)loop|too many levels"):
        write_text(tmp_path / "a", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666, 0o444])
def test_the_mode_of_a_file_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "list.json"
    path.write_text("old")
    path.chmod(mode)
    write_text(path, "new")
    assert (path.read_text(), mode_of(path)) == ("new", mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_group_and_owner_of_a_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text("old")
    os.chown(path, 1234, 4321)
    path.chmod(0o664)
    write_text(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (1234, 4321, 0o664)


def test_the_group_is_kept_where_the_owner_may_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a process that is a member of the group, but not root."""
    path = tmp_path / "list.json"
    path.write_text("old")
    path.chmod(0o640)
    done = []

    def fchown(descriptor: int, owner: int, group: int) -> None:
        if owner != -1:
            raise PermissionError(1, "Operation not permitted")
        done.append(group)

    monkeypatch.setattr(os, "fchown", fchown)
    write_text(path, "new")
    assert (done, mode_of(path), path.read_text()) == ([path.stat().st_gid], 0o640, "new")


def test_a_new_file_gets_what_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "list.json", "new")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "list.json") == 0o640


def test_a_reader_that_has_the_old_file_open_reads_all_of_it(tmp_path: Path) -> None:
    path, link = tmp_path / "list.json", tmp_path / "link"
    path.write_text("old" * 1000)
    link.symlink_to(path)
    with link.open() as stream:
        start = stream.read(5)
        write_text(link, "new")
        assert start + stream.read() == "old" * 1000
    assert path.read_text() == "new"


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.json").write_text("old")
    (tmp_path / "link").symlink_to("list.json")

    def fail(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no room"):
        write_text(tmp_path / "link", "new")
    assert read_text(tmp_path / "link") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "list.json"]


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_pipe_or_device_is_refused(tmp_path: Path, *, is_linked: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if is_linked else pipe
    if is_linked:
        path.symlink_to(pipe)
    reading = os.open(pipe, os.O_RDWR)  # so that a read which is not refused does not block for ever
    os.write(reading, b"{}")
    os.set_blocking(reading, False)
    try:
        with pytest.raises(OSError, match="it is a pipe, a socket or a device"):
            write_text(path, "new")
        assert stat.S_ISFIFO(pipe.stat().st_mode), "it was replaced by a file"
        with pytest.raises(OSError, match="it is a pipe, a socket or a device"):
            read_text(path)
    finally:
        os.close(reading)

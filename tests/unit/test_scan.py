"""Which files of a folder are found, and what they are called."""

from __future__ import annotations

import logging
import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_media._sync.scan import check_name_template, find_files, library_name
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Airflow 2's universal_pathlib says so to itself, joining the path of a local file.
pytestmark = pytest.mark.filterwarnings("ignore:in a future version of UPath this will be set to None")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as designers leave it behind."""
    for name in (
        *("banner.jpg", "cards/latte.PNG", "cards/old/tonic.png", "intro.mp4", "sp ace #1%.png"),
        *(".DS_Store", "Thumbs.db", "cards/desktop.ini", ".hidden/secret.png", "cards/.draft.png"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    return tmp_path


def names(root: Any, pattern: str = "**/*", exclude: Sequence[str] = ()) -> list[str]:
    return [file.relative for file in find_files(root, pattern, exclude)]


AS_GIVEN = pytest.mark.parametrize("as_given", [Path, str, lambda path: ObjectStoragePath(f"file://{path}")])


@AS_GIVEN
@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("**/*", ["banner.jpg", "cards/latte.PNG", "cards/old/tonic.png", "intro.mp4", "sp ace #1%.png"]),
        ("*", ["banner.jpg", "intro.mp4", "sp ace #1%.png"]),
        ("**", ["banner.jpg", "cards/latte.PNG", "cards/old/tonic.png", "intro.mp4", "sp ace #1%.png"]),
        ("**/*.png", ["cards/old/tonic.png", "sp ace #1%.png"]),
        ("cards/**/*", ["cards/latte.PNG", "cards/old/tonic.png"]),
        ("cards/*", ["cards/latte.PNG"]),
        ("cards/**/*.[pP][nN][gG]", ["cards/latte.PNG", "cards/old/tonic.png"]),
        ("?anner.jpg", ["banner.jpg"]),
    ],
)
def test_files_are_found_by_their_relative_paths(folder: Path, as_given: Any, pattern: str, found: list[str]) -> None:
    assert names(as_given(folder), pattern) == found


@AS_GIVEN
def test_what_is_found_can_be_opened(folder: Path, as_given: Any) -> None:
    for file in find_files(as_given(folder)):
        with file.path.open("rb") as stream:
            assert stream.read() == b"x"


@AS_GIVEN
def test_a_decomposed_name_is_composed(tmp_path: Path, as_given: Any) -> None:
    on_disk = unicodedata.normalize("NFD", "Frühling.png")
    (tmp_path / on_disk).write_bytes(b"x")
    [file] = find_files(as_given(tmp_path))
    assert file.relative == "Frühling.png" != on_disk
    with file.path.open("rb") as stream:
        assert stream.read() == b"x"


def test_links_are_followed_and_loops_end(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "linked.png").write_bytes(b"x")
    (folder / "link").symlink_to(other)
    (folder / "loop").symlink_to(folder)
    (other / "back").symlink_to(folder)
    found = names(folder, "**/*.png")
    assert "link/linked.png" in found
    assert len(found) < 20


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def test_folders_that_link_to_each_other_are_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = [tmp_path / f"f{number}" for number in range(12)]
    for folder in folders:
        make(folder, "a.png", "x/b.png")
    for folder in folders:
        for other in folders:
            (folder / f"to-{other.name}").symlink_to(other)
    with caplog.at_level(logging.INFO):
        assert len(names(tmp_path)) == 24
    assert "links to folders already read (144)" in caplog.text


def test_a_link_is_followed_only_if_the_pattern_matches(tmp_path: Path) -> None:
    make(tmp_path, "v1/a.png", "v2/a.png")
    (tmp_path / "current").symlink_to("v2")
    assert names(tmp_path, "current/**") == ["current/a.png"]
    assert names(tmp_path) == ["v1/a.png", "v2/a.png"]


def test_a_root_that_is_a_link_is_read(tmp_path: Path) -> None:
    make(tmp_path, "v2/a.png", "v2/x/b.png")
    (tmp_path / "current").symlink_to("v2")
    (tmp_path / "v2" / "x" / "up").symlink_to("..")
    assert names(tmp_path / "current") == ["a.png", "x/b.png"]


@AS_GIVEN
def test_what_is_skipped_is_one_log_line(tmp_path: Path, as_given: Any, caplog: pytest.LogCaptureFixture) -> None:
    make(
        tmp_path, "a.png", "@eaDir/a.png@SynoEAStream", "b.mp4.part", "c.mp4.part", "Icon\r", "x/notes.txt", "raw/d.png"
    )
    with caplog.at_level(logging.INFO):
        assert names(as_given(tmp_path), exclude=["*.txt", "raw"]) == ["a.png"]
    [line] = [record.getMessage() for record in caplog.records if "Skipped" in record.getMessage()]
    for reason in ("*.part (2)", "@eaDir/ (1)", r"Icon\r (1)", "*.txt (1)", "raw (1)"):
        assert reason in line


def test_a_folder_with_only_skipped_files_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4.part", "b.txt")
    with pytest.raises(MediaError, match=r"all files that match '\*\*/\*' are skipped \(\*.part, \*.txt\)"):
        names(tmp_path, exclude=["*.txt"])


@AS_GIVEN
def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path, as_given: Any) -> None:
    missing = as_given(tmp_path / "missing")
    with pytest.raises(MediaError, match=r"^The folder .*missing' cannot be synced: it does not exist\.$") as caught:
        find_files(missing)
    assert type(caught.value) is MediaFileError


@pytest.mark.parametrize("root", [None, "", "None", 5])
def test_what_is_no_folder_is_refused(root: Any) -> None:
    with pytest.raises(MediaError, match="cannot be synced") as caught:
        find_files(root)
    assert type(caught.value) is MediaFileError


def test_what_cannot_be_read_within_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to("n" * 300)
    with pytest.raises(MediaError, match=r"File name too long: '.*link\.png'"):
        find_files(tmp_path)


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(MediaError, match="it is not a folder"):
        find_files(folder / "banner.jpg")


def test_a_folder_without_files_is_an_error(folder: Path) -> None:
    with pytest.raises(MediaError, match=r"none of its \d+ files? matches '\*\.gif'\."):
        find_files(folder, "*.gif")
    with pytest.raises(MediaError, match=r"it contains no files\."):
        find_files(folder / "empty")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_an_error(folder: Path) -> None:
    (folder / "cards").chmod(0)
    try:
        with pytest.raises(MediaError, match="Permission denied"):
            find_files(folder)
    finally:
        (folder / "cards").chmod(0o755)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{path}", "cards/latte.final.png"),
        ("{name}", "latte.final.png"),
        ("summer-{stem}{suffix}", "summer-latte.final.png"),
        ("{stem}", "latte.final"),
        ("{{{suffix}}}", "{.png}"),
    ],
)
def test_a_name_is_made_from_the_path(template: str, name: str) -> None:
    assert library_name("cards/latte.final.png", check_name_template(template)) == name


@pytest.mark.parametrize(
    "template",
    [
        "banner",
        "",
        "{folder}",
        "{0}",
        "{}",
        "{path",
        "{path.parent}",
        "{path:{x}}",
        "{path:{stem}}",
        "{path:d}",
        None,
        5,
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused(template: Any) -> None:
    with pytest.raises(MediaError, match=r"name_template must be a string with at least one of \{path\}") as caught:
        check_name_template(template)
    assert type(caught.value) is MediaConfigurationError

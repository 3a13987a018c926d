"""Test that the library has the uploaded bytes, for every kind of file and every name."""

from __future__ import annotations

import io
import os
import threading
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_media.exceptions import (
    MediaConfigurationError,
    MediaConflictError,
    MediaFileError,
    MediaInUseError,
)
from tests.contract.helpers.blocking import both_hooks
from tests.contract.helpers.sandbox_library import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media
    from tests.contract.helpers.sandbox_library import SandboxLibrary

PNG = b"\x89PNG\r\n\x1a\n"

pytestmark = both_hooks


class Once(io.RawIOBase):
    """Can be read only once, and has no name."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._stream.readinto(buffer)


def at_an_offset(path: Path) -> io.BytesIO:
    stream = io.BytesIO(b"what was read before" + path.read_bytes())
    stream.seek(len(b"what was read before"))
    return stream


@pytest.mark.parametrize(
    "given",
    [
        str,
        Path,
        lambda path: path.open("rb"),
        at_an_offset,
        lambda path: Once(path.read_bytes()),
        lambda path: ObjectStoragePath(f"file://{path}"),
        lambda path: f"file://{path}",
    ],
    ids=["text", "path", "open file", "file object at an offset", "not seekable", "object storage", "uri"],
)
@pytest.mark.parametrize("size", [1, 3_000_000])
def test_every_kind_of_file_arrives_whole(
    hook: MediaHook, library: SandboxLibrary, tmp_path: Path, given: Any, size: int
) -> None:
    path = tmp_path / "banner.png"
    path.write_bytes(PNG + os.urandom(size))
    file = given(path)
    result = hook.upload(file, name="banner.png")
    if hasattr(file, "close"):
        file.close()
    [stored] = library.files()
    assert (result.created, result.replaced, result.media.id) == (True, (), stored["id"])
    assert (result.media.size, result.media.mime_type) == (size + len(PNG), "image/png")
    assert sha256_of(stored["url"]) == sha256_of(path.read_bytes())
    assert library.count("POST") == 1


def test_what_a_named_pipe_gives_arrives_whole(hook: MediaHook, library: SandboxLibrary, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    writer = threading.Thread(target=(tmp_path / "pipe.png").write_bytes, args=(PNG + b"piped",))
    writer.start()
    media = hook.upload(tmp_path / "pipe.png").media
    writer.join()
    assert media.name == "pipe.png"
    assert sha256_of(str(media.url)) == sha256_of(PNG + b"piped")


@pytest.mark.parametrize(
    "name",
    [
        "Frühling & Angebote",
        unicodedata.normalize("NFD", "Frühling"),
        "春の新商品",
        "🎉🏳️‍🌈 party 👩🏽‍🍳",
        "מבצע אביב.png",
        "עברית mixed العربية",
        'Sale "now" \\ today; filename="x.png"',
        "two\nlines",
        "two\r\nlines\r\n\r\n--boundary--",
        "  blanks  ",
        "tab\tand\x00null",
        "100% %2F &amp; <b>",
        "é" * 1000,
    ],
    ids=lambda name: ascii(name)[:24],
)
def test_names_and_descriptions_are_kept_to_the_letter(
    hook: MediaHook, library: SandboxLibrary, image: Path, name: str
) -> None:
    media = hook.upload(image, name=name, description=name).media
    [stored] = library.files()
    assert (media.name, media.description) == (name, name)
    assert (stored["name"], stored["description"]) == (name, name)
    assert [found.id for found in hook.find_media(name)] == [media.id]


@pytest.mark.parametrize("file_name", ["väder & co.png", "banner (1).png", "עברית.png", "a;b=c.png", "%22.png"])
def test_the_base_name_is_the_name(hook: MediaHook, image: Path, file_name: str) -> None:
    path = image.rename(image.with_name(file_name))
    assert hook.upload(path).media.name == file_name


def test_folder_and_type_are_kept(hook: MediaHook, image: Path, library: SandboxLibrary) -> None:
    media = hook.upload(image, folder_id="12", mime_type="image/png").media
    assert (media.folder_id, media.mime_type) == (12, "image/png")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "does not exist"), (b"", "is empty"), (b"%PDF-1.7 of a brochure", "PDF document; the library accepts")],
)
def test_a_bad_file_is_refused_without_a_request(
    hook: MediaHook, library: SandboxLibrary, tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(MediaFileError, match=words):
        hook.upload(tmp_path / "a.png")
    assert library.journal() == []


def test_missing_file_of_a_uri_is_a_file_error(hook: MediaHook, library: SandboxLibrary) -> None:
    with pytest.raises(MediaFileError, match="cannot be uploaded"):
        hook.upload("file:///no/such/banner.png")
    assert library.journal() == []


def test_unknown_file_system_is_a_configuration_error(hook: MediaHook, library: SandboxLibrary) -> None:
    with pytest.raises(MediaConfigurationError, match=r"^Cannot open 'unknown://bucket/banner.png': "):
        hook.upload("unknown://bucket/banner.png")
    assert library.journal() == []


@pytest.mark.parametrize("arguments", [{"name": ""}, {"name": "None"}, {"folder_id": "None"}, {"if_exists": "keep"}])
def test_a_wrong_argument_is_refused_without_a_request(
    hook: MediaHook, library: SandboxLibrary, image: Path, arguments: dict[str, Any]
) -> None:
    with pytest.raises(MediaConfigurationError, match=next(iter(arguments))):
        hook.upload(image, **arguments)
    assert library.journal() == []


def test_upload_policy_ignores_an_equal_file(hook: MediaHook, library: SandboxLibrary, image: Path) -> None:
    first, second = hook.upload(image).media, hook.upload(image, if_exists="upload").media
    assert [media["id"] for media in library.files()] == [first.id, second.id]


def test_reuse_sends_once_however_often_it_is_asked(hook: MediaHook, library: SandboxLibrary, image: Path) -> None:
    results = [hook.upload(image, if_exists="reuse") for _ in range(3)]
    assert [(result.media, result.created) for result in results] == [
        (results[0].media, c) for c in (True, False, False)
    ]
    assert library.count("POST") == 1


def test_reuse_does_not_take_a_namesake_of_another_size(hook: MediaHook, library: SandboxLibrary, image: Path) -> None:
    other = library.store("banner.png", PNG + b"another")
    result = hook.upload(image, if_exists="reuse")
    assert result.created
    assert [media["id"] for media in library.files()] == [other, result.media.id]


def test_replace_leaves_only_the_new_one_of_the_name(hook: MediaHook, library: SandboxLibrary, image: Path) -> None:
    old = [library.store("banner.png", PNG + bytes(size)) for size in (1, 2)]
    other = library.store("other.png", PNG)
    result = hook.upload(image, if_exists="replace")
    assert result.replaced == tuple(old)
    assert [media["id"] for media in library.files()] == [other, result.media.id]
    assert sha256_of(str(result.media.url)) == sha256_of(image.read_bytes())


def test_replace_asks_before_it_sends(hook: MediaHook, library: SandboxLibrary, image: Path) -> None:
    old = library.store("banner.png", PNG)
    library.forget()

    def refuse(found: Iterable[Media]) -> None:
        raise MediaInUseError(f"{[media.id for media in found]} is still used")

    with pytest.raises(MediaInUseError, match=f"{old}"):
        hook.upload(image, if_exists="replace", before_delete=refuse)
    assert library.count("POST") == 0
    assert [media["id"] for media in library.files()] == [old]


def test_fail_refuses_a_taken_name_without_sending(hook: MediaHook, library: SandboxLibrary, image: Path) -> None:
    library.store("banner.png", PNG)
    library.forget()
    with pytest.raises(MediaConflictError, match=r"'banner\.png': a file with this name exists"):
        hook.upload(image, if_exists="fail")
    assert library.count("POST") == 0


def test_a_file_that_grows_while_it_is_sent_is_never_stored(hook: MediaHook, library: SandboxLibrary) -> None:
    class Growing(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            count = super().readinto(buffer)
            place = self.tell()
            self.seek(0, io.SEEK_END)
            self.write(b"more")
            self.seek(place)
            return count

    with pytest.raises(MediaFileError, match="it grew beyond its 1000008 bytes while it was being sent"):
        hook.upload(Growing(PNG + bytes(1_000_000)), name="growing.png")
    assert library.count("POST") <= 1
    assert library.files() == []


def test_a_read_error_in_the_middle_is_no_network_fault(hook: MediaHook, library: SandboxLibrary) -> None:
    class Failing(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell():
                raise ConnectionResetError(104, "Connection reset by peer")
            return super().readinto(buffer)

    with pytest.raises(MediaFileError, match="reading it failed"):
        hook.upload(Failing(PNG + bytes(1_000_000)), name="failing.png")
    assert library.count("POST") <= 1
    assert library.files() == []


def test_a_result_is_logged_with_id_size_and_url(
    hook: MediaHook, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media = hook.upload(image).media
    assert f"Uploaded 'banner.png': id {media.id}, 5.0 kB, {media.url!r}" in capsys.readouterr().out

"""Test the sources of uploads: measured before the upload, and read for each attempt."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_media._upload.source import (
    BLOCK_BYTES,
    SPOOL_BYTES,
    Source,
    detect_mime_type,
    iter_chunks,
    open_source,
    sha256,
)
from airflow_provider_media.exceptions import Delivery, MediaError, MediaFileError

GIF = b"GIF89a" + bytes(range(256)) * 4


def content(source: Source) -> bytes:
    return b"".join(bytes(block) for block in iter_chunks(source))


def refusal(action: Any, *arguments: Any) -> str:
    with pytest.raises(MediaError) as raised:
        action(*arguments)
    error = raised.value
    assert (type(error), error.is_transient, error.delivery) == (MediaFileError, False, Delivery.NOT_SENT)
    return str(raised.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "banner.gif"
    path.write_bytes(GIF)
    return path


class Unseekable(io.RawIOBase):
    """A stream that can be read only once, like a pipe."""

    def __init__(self, content: bytes) -> None:
        self._left = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)


class ObjectPath:
    """The path of an object store and the store itself, whose listing may have another size."""

    name = "banner.gif"
    path = "bucket/banner.gif"

    def __init__(self, content: bytes, *, size: int | None = None) -> None:
        self.content = content
        self.tag = "first"
        self._size = size

    def __str__(self) -> str:
        return "s3://bucket/banner.gif"

    @property
    def fs(self) -> ObjectPath:
        return self

    def info(self, name: str) -> dict[str, Any]:
        assert name == self.path
        if not self.content:
            raise FileNotFoundError(name)
        size = len(self.content) if self._size is None else self._size
        return {"type": "file", "size": size, "ETag": self.tag}

    def invalidate_cache(self, name: str) -> None:
        assert name == self.path

    def cat_file(self, name: str, *, start: int, end: int) -> bytes:
        assert name == self.path
        return self.content[start:end]

    def open(self, name: str, mode: str, *, block_size: int) -> io.BytesIO:
        assert (name, mode) == (self.path, "rb")
        assert block_size < 50 * 1024 * 1024
        return io.BytesIO(self.content)


def test_a_replaced_object_is_not_uploaded() -> None:
    path = ObjectPath(GIF)
    source = open_source(path)
    assert content(source) == GIF
    path.tag = "second"
    with pytest.raises(MediaError, match="it changed while it was being sent"):
        content(source)


def test_an_object_replaced_while_it_is_read_fails() -> None:
    path = ObjectPath(GIF)
    blocks = iter_chunks(open_source(path))
    assert bytes(next(blocks)) == GIF
    path.tag = "second"
    assert "it changed while it was being sent" in refusal(list, blocks)


@pytest.mark.parametrize("as_given", [str, Path, os.fspath, ObjectPath, io.BytesIO, Unseekable])
def test_every_kind_of_source_can_be_read_repeatedly(as_given: Any, path: Path) -> None:
    source = open_source(as_given(path) if as_given in {str, Path, os.fspath} else as_given(GIF))
    assert source.size == len(GIF)
    assert detect_mime_type(source) == "image/gif"
    assert [content(source), content(source)] == [GIF, GIF]
    assert sha256(source) == hashlib.sha256(GIF).hexdigest()
    source.close()


@pytest.mark.parametrize(
    ("given", "base_name"), [(io.BytesIO(GIF), None), (ObjectPath(GIF), "banner.gif"), (Unseekable(GIF), None)]
)
def test_base_name_of_a_source(given: Any, base_name: str | None) -> None:
    source = open_source(given)
    assert source.base_name == base_name
    source.close()


def test_base_name_of_a_path_and_an_open_file(path: Path) -> None:
    assert open_source(str(path)).base_name == "banner.gif"
    with path.open("rb") as stream:
        assert open_source(stream).base_name == "banner.gif"
    with os.fdopen(os.open(path, os.O_RDONLY), "rb") as stream:  # its name is an integer
        assert open_source(stream).base_name is None


@pytest.mark.parametrize("size", [1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES])
@pytest.mark.parametrize("kind", ["path", "stream"])
def test_sizes_around_a_block_are_read_exactly(kind: str, size: int, tmp_path: Path) -> None:
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    source = open_source(tmp_path / "a" if kind == "path" else io.BytesIO(data))
    blocks = [bytes(block) for block in iter_chunks(source)]
    assert b"".join(blocks) == data
    assert len(blocks) == -(-size // BLOCK_BYTES)


def test_a_file_object_is_sent_from_its_position() -> None:
    stream = io.BytesIO(b"header" + GIF)
    stream.seek(6)
    source = open_source(stream)
    assert (source.size, content(source), content(source)) == (len(GIF), GIF, GIF)


@pytest.mark.parametrize("size", [10, SPOOL_BYTES + 10])
def test_a_stream_that_is_not_seekable_is_copied(size: int) -> None:
    data = os.urandom(size)
    source = open_source(Unseekable(data))
    assert [content(source), content(source)] == [data, data]
    source.close()


def test_a_named_pipe_is_copied(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.gif"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(GIF,))
    writer.start()
    source = open_source(pipe)
    writer.join()
    assert (source.base_name, content(source), content(source)) == ("pipe.gif", GIF, GIF)
    source.close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "missing.gif", "does not exist"),
        (lambda folder: str(folder / "missing.gif"), "does not exist"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: folder / "banner.gif" / "x", "Not a directory"),
        (lambda _: "a\0b", "null"),
        (lambda _: "", "Did a Jinja template render to an empty string"),
        (lambda _: "None", "Did a Jinja template render to an empty string"),
        (lambda _: None, "Did a Jinja template render to an empty string"),
        (lambda _: 5, "not a file path"),
        (lambda _: b"banner.gif", "not a file path"),
        (lambda _: io.BytesIO(b""), "is empty"),
        (lambda _: Unseekable(b""), "is empty"),
        (lambda _: ObjectPath(b""), "does not exist"),
        (lambda _: ObjectPath(GIF, size=0), "is empty"),
    ],
)
def test_a_missing_file_raises_one_sentence(make: Any, words: str, path: Path) -> None:
    assert words in refusal(open_source, make(path.parent))


def test_an_empty_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.gif").touch()
    assert "is empty" in refusal(open_source, tmp_path / "a.gif")


def test_a_closed_file_object_is_rejected() -> None:
    stream = io.BytesIO(GIF)
    stream.close()
    assert "closed file" in refusal(open_source, stream)


def test_a_file_object_in_text_mode_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with (tmp_path / "a.txt").open() as stream:
        assert "open it in binary mode ('rb')" in refusal(detect_mime_type, open_source(stream))
    source = open_source(io.StringIO("text"))
    assert "open it in binary mode ('rb')" in refusal(content, source)


class UnseekableText:
    def read(self, _size: int) -> str:
        return "text"


def test_a_text_stream_that_is_not_seekable_is_rejected() -> None:
    assert "open it in binary mode ('rb')" in refusal(open_source, UnseekableText())


class Generous:
    """A stream without readinto() whose read() returns too many bytes."""

    def __init__(self) -> None:
        self._stream = io.BytesIO(GIF * 1000)
        self.seekable, self.seek, self.tell = self._stream.seekable, self._stream.seek, self._stream.tell

    def read(self, size: int) -> bytes:
        return self._stream.read(size + 1)


def test_a_read_that_returns_too_much_is_an_error() -> None:
    assert "returned more bytes than requested" in refusal(detect_mime_type, open_source(Generous()))


def test_a_file_that_grew_before_it_was_opened_is_not_sent(path: Path) -> None:
    source = open_source(path)
    with path.open("ab") as stream:
        stream.write(b"more")
    assert "it changed while it was being sent" in refusal(content, source)


def test_a_file_that_was_replaced_by_one_of_the_same_size_is_not_sent(path: Path) -> None:
    source = open_source(path)
    other = path.with_name("other.gif")
    other.write_bytes(GIF[::-1])
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert "it changed while it was being sent" in refusal(content, source)


def test_a_file_that_is_gone_is_not_sent(path: Path) -> None:
    source = open_source(path)
    path.unlink()
    assert "No such file" in refusal(content, source)


@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite"])
def test_a_file_that_changes_while_it_is_read_ends_in_an_error(change: str, tmp_path: Path) -> None:
    path = tmp_path / "big.gif"
    path.write_bytes(b"x" * (3 * BLOCK_BYTES))
    blocks = iter_chunks(open_source(path))
    next(blocks)
    with path.open("r+b") as stream:
        if change == "shrink":
            stream.truncate(BLOCK_BYTES + 5)
        else:
            stream.seek(0, os.SEEK_END if change == "grow" else os.SEEK_SET)
            stream.write(b"y")
    os.utime(path, ns=(0, 0))  # a coarse clock would not show the change
    assert "while it was being sent" in refusal(list, blocks)


@pytest.mark.parametrize(("change", "words"), [(b"more", "it grew beyond its"), (None, "it became shorter")])
@pytest.mark.parametrize("kind", ["stream", "object"])
def test_a_stream_that_changes_while_it_is_read_ends_in_an_error(kind: str, change: bytes | None, words: str) -> None:
    now = GIF + change if change else GIF[:-4]
    if kind == "object":
        source = open_source(ObjectPath(now, size=len(GIF)))
    else:
        stream = io.BytesIO(GIF)
        source = open_source(stream)
        stream.seek(0)
        stream.truncate()
        stream.write(now)
    assert words in refusal(content, source)


class Failing(io.BytesIO):
    """Fails like a file system; to an HTTP client, a reset in the body is a network error."""

    def __init__(self, content: bytes, error: Exception) -> None:
        super().__init__(content)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        raise self._error

    def readinto(self, buffer: Any) -> int:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        OSError(errno.EIO, "Input/output error"),
        TimeoutError("timed out"),
        ValueError("odd"),
        RuntimeError("boom"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("read", [content, detect_mime_type, sha256])
def test_a_read_error_is_not_a_network_error(read: Any, error: Exception) -> None:
    message = refusal(read, open_source(Failing(GIF, error)))
    assert f"reading it failed ({type(error).__name__}: {error})" in message


def test_a_forbidden_folder_raises_one_sentence(tmp_path: Path) -> None:
    looping = tmp_path / "loop.gif"
    looping.symlink_to(looping)
    assert "symbolic links" in refusal(open_source, looping)


def test_keyboard_interrupt_is_not_a_file_error() -> None:
    with pytest.raises(KeyboardInterrupt):
        content(open_source(Failing(GIF, KeyboardInterrupt())))  # type: ignore[arg-type]


def test_close_releases_only_the_copy() -> None:
    stream = io.BytesIO(GIF)
    open_source(stream).close()
    assert not stream.closed
    spooled = open_source(Unseekable(GIF))
    spooled.close()
    assert "closed file" in refusal(content, spooled)


def test_an_unreadable_file_fails_when_it_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything
        monkeypatch.setattr("airflow_provider_media._upload.source.os.access", lambda *_: False)
    with pytest.raises(
        MediaError, match=r"secret\.png' cannot be uploaded: this user has no permission to read it"
    ) as raised:
        open_source(path)
    assert type(raised.value) is MediaFileError


@pytest.mark.parametrize("content", [None, b"", GIF])
def test_a_name_that_is_not_utf_8_is_escaped(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.gif")
    if content is not None:
        path.write_bytes(content)
    shown = repr(open_source(path).label) if content else refusal(open_source, path)
    assert "caf\\udce9.gif" in shown


@pytest.mark.parametrize("file", ["media/banner.gif", Path("banner.gif"), "../banner.gif"])
def test_error_of_a_relative_path_has_the_working_directory(
    file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MediaError) as caught:
        open_source(file)
    assert f"does not exist in {str(tmp_path)!r}" in str(caught.value)
    assert f"Path(__file__).parent / {str(file)!r}" in str(caught.value)


@pytest.mark.parametrize("file", ["", "None", None])
def test_an_error_may_end_with_a_question(file: Any) -> None:
    with pytest.raises(MediaError, match=r"Did a Jinja template render to an empty string\?$"):
        open_source(file)

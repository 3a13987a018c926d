"""Where an upload's bytes come from: something that can be opened anew for each attempt, and knows its size.

A declared length is a promise to the server, so a source is measured before the first byte is sent, and whatever
differs while it is being read is a clear, permanent error of ours: an OSError raised inside a request's body would be
taken for a broken connection by the HTTP client.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from airflow_provider_media._api.media_types import ACCEPTED_TYPES, HEAD_BYTES, detect_type
from airflow_provider_media._api.secret import redact_url, redact_urls, safe_cause
from airflow_provider_media.exceptions import MediaError, MediaFileError, UnsupportedTypeError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

BLOCK_BYTES = 512 * 1024
SPOOL_BYTES = 1024 * 1024
"""What cannot be read twice is kept in memory up to this size, on disk above it."""


_CANNOT = " cannot be uploaded: "


class Source(Protocol):
    """The bytes of one upload."""

    label: str
    size: int
    base_name: str | None

    def head(self, count: int) -> bytes:
        """Read the first bytes."""

    def opened(self) -> Any:
        """Open the bytes from their start: a context manager that gives a stream, and checks on leaving."""

    def opened_for_checks(self) -> Any:
        """Open the bytes as :meth:`opened` does, to read here and there; whether they changed may be left unchecked."""

    def close(self) -> None:
        """Let go of what was needed to read more than once."""


def printable(path: object) -> str:
    """Return a path or name as text that can be encoded; bytes that are not UTF-8 are written as escapes."""
    return str(path).encode(errors="backslashreplace").decode()


def escape_controls(text: str) -> str:
    """Return a text on one line: control characters, line breaks and lone surrogates as ``repr`` writes them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def missing_reason(path: Path) -> str:
    """Return why a local path leads nowhere; of a relative one, where it was searched."""
    if path.is_absolute():
        return "it does not exist"
    try:
        folder = repr(os.getcwd())  # noqa: PTH109 - as Path.cwd(), which is a path
    except OSError:
        folder = "a folder that was deleted"
    return (
        f"it does not exist in {folder}, the working directory. Use an absolute path, such as"
        f" Path(__file__).parent / {str(path)!r}"
    )


def file_problem(label: object, reason: str, error_class: type[MediaFileError] = MediaFileError) -> MediaFileError:
    """Return the error of a file that cannot be uploaded.

    :param label: its path or name.
    :param reason: at least the cause; sentences may follow.
    """
    ending = "" if reason.endswith((".", "?")) else "."
    shown = repr(redact_url(label)) if isinstance(label, str) else redact_urls(repr(label))
    return error_class(f"The file {shown}{_CANNOT}{redact_urls(reason)}{ending}")


def file_reason(problem: MediaError) -> str:
    """Return what is wrong with a file, without its name."""
    return str(problem).partition(_CANNOT)[2] or str(problem)


def is_object_path(file: Any) -> bool:
    """Whether this is the path of an object store; asked of its class, for the store may not be there."""
    return hasattr(type(file), "fs") and hasattr(type(file), "path")


def local_path(file: Any) -> Any:
    """Return the plain path for the object store's path of a local file (``file://``), and all else as it is.

    Only an open local file shows whether it still is the one that was measured.
    """
    is_local = is_object_path(file) and getattr(file, "protocol", None) in {"file", "local"}
    return Path(file.path) if is_local else file


def detect_mime_type(source: Source, *, default: str | None = None) -> str:
    """Return the MIME type of a source, by its first bytes.

    :param default: the type of bytes that are of no known type.
    :raises UnsupportedTypeError: when the library does not accept such a file; MediaFileError when the source
        cannot be read.
    """
    found = detect_type(source.head(HEAD_BYTES))
    mime_type = found.mime_type if found else default
    if mime_type is None:
        title, advice = (found.title, found.advice) if found else ("a file of unknown type", "")
        reason = f"{title}; the library accepts {ACCEPTED_TYPES}"
        raise file_problem(source.label, f"{reason}. {advice}" if advice else reason, UnsupportedTypeError)
    return mime_type


def sha256(source: Source) -> str:
    """Return the checksum of a source's content, in hexadecimal digits.

    :raises MediaFileError: as :func:`iter_chunks`.
    """
    digest = hashlib.sha256()
    for block in iter_chunks(source):
        digest.update(block)
    return digest.hexdigest()


def iter_chunks(source: Source) -> Iterator[memoryview]:
    """Read a source from its start to its measured end, in blocks of one reused buffer.

    :raises MediaFileError: when it shrinks, grows, is replaced or cannot be read.
    """
    for block in iter_regions(source):
        yield block.fill() if isinstance(block, FileRegion) else block


def iter_regions(source: Source) -> Iterator[memoryview | FileRegion]:
    """Give a source from its start to its measured end: blocks of one reused buffer, or of a local file the regions.

    A region's bytes need not come into the process at all on their way to a plain socket.

    :raises MediaFileError: when the source shrinks, grows, is replaced or cannot be read.
    """
    buffer = bytearray(min(BLOCK_BYTES, source.size))
    view = memoryview(buffer)
    left = source.size
    with source.opened() as stream:
        if isinstance(source, PathSource):
            for offset in range(0, source.size, len(buffer)):
                yield FileRegion(source.label, stream, offset, view[: source.size - offset])
            return
        while left:
            count = _read_into(source.label, stream, view[: min(left, len(buffer))])
            if not count:
                raise _shrank(source.label)
            left -= count
            yield view[:count]
        if _read(source.label, stream, 1):
            raise file_problem(source.label, f"it grew beyond its {source.size} bytes while it was being sent")


def _shrank(label: str) -> MediaError:
    return file_problem(label, "it became shorter while it was being sent")


class FileRegion:
    """Some consecutive bytes of an open local file; as long as the buffer that is lent to it.

    :param label: the file's name, for errors.
    :param stream: the file, unbuffered.
    :param offset: where the region begins.
    :param buffer: where its bytes go when they are needed in memory.
    """

    def __init__(self, label: str, stream: IO[bytes], offset: int, buffer: memoryview) -> None:
        """Read nothing yet."""
        self._label = label
        self._descriptor = stream.fileno()
        self._offset = offset
        self._buffer = buffer
        self._given = 0

    def __len__(self) -> int:
        """Give the number of bytes."""
        return len(self._buffer)

    def fill(self, start: int = 0) -> memoryview:
        """Read the bytes from ``start`` on into the buffer, and return them.

        :raises MediaFileError: when the file ends too early or cannot be read.
        """
        done = start
        while done < len(self):
            with reading(self._label):
                count = os.preadv(self._descriptor, [self._buffer[done:]], self._offset + done)
            if not count:
                raise _shrank(self._label)
            done += count
        return self._buffer[start:]

    def send_to(self, sock: socket.socket, start: int) -> int:
        """Send some of the bytes from ``start`` on, from file to socket within the kernel; return how many.

        :raises MediaFileError: when the file ends too early or cannot be read.
        :raises BlockingIOError: the socket takes nothing now.
        :raises ConnectionError: the connection is broken.
        """
        try:
            count = os.sendfile(sock.fileno(), self._descriptor, self._offset + start, len(self) - start)
        except (BlockingIOError, ConnectionError):
            raise
        except OSError:  # a file system that cannot, or a file that cannot be read: reading it tells which
            return sock.send(self.fill(start))
        if not count:
            raise _shrank(self._label)
        return count

    def read(self, size: int) -> bytes:
        """Read on: what makes a region a file object, for a connection that knows no regions."""
        block = bytes(self.fill()[self._given : self._given + size])
        self._given += len(block)
        return block


def _read_into(label: str, stream: IO[bytes], view: memoryview) -> int:
    if hasattr(stream, "readinto"):
        with reading(label):
            return stream.readinto(view) or 0
    data = _read(label, stream, len(view))
    view[: len(data)] = data
    return len(data)


def _read(label: str, stream: IO[bytes], count: int) -> bytes:
    with reading(label):
        data = stream.read(count)
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise file_problem(label, "it gives text; open it in binary mode ('rb')")
    if len(data) > count:
        raise file_problem(label, "its read() gives more bytes than were asked for")
    return bytes(data)


@contextmanager
def reading(label: str) -> Iterator[None]:
    """Turn whatever reading a source raises into a MediaFileError."""
    try:
        yield
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001 - of any stream or object store
        raise file_problem(label, f"reading it failed ({type(error).__name__}: {error})") from safe_cause(error)


def open_path(path: Path, *, takes_pipes: bool) -> Source:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise file_problem(str(path), "it is a folder")
        if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
            raise file_problem(str(path), "it is a device")
        if not stat.S_ISREG(found.st_mode):  # a named pipe, say: it can be read only once
            if not takes_pipes:
                raise file_problem(str(path), "it is a named pipe or a socket, not a regular file")
            with path.open("rb") as stream:
                return StreamSource(stream, label=str(path), base_name=path.name)
        return PathSource(path, found)
    except FileNotFoundError:
        raise file_problem(str(path), missing_reason(path)) from None
    except OSError as error:
        raise file_problem(str(path), f"{error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise file_problem(str(path), str(error)) from None


class PathSource:
    """A regular file, which must stay the very file that was measured."""

    def __init__(self, path: Path, found: os.stat_result) -> None:
        self.label = str(path)
        self.base_name: str | None = path.name
        self.size = found.st_size
        self._path = path
        self._identity = _identity(found)
        if not os.access(path, os.R_OK):
            raise file_problem(self.label, "it may not be read by this user")

    def head(self, count: int) -> bytes:
        with self.opened() as stream:
            return _read(self.label, stream, count)

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        try:
            stream = self._path.open("rb", buffering=0)
        except OSError as error:
            raise file_problem(self.label, f"{error.strerror or error}") from error
        with stream:
            self._check(stream)
            yield stream
            self._check(stream)

    opened_for_checks = opened

    def _check(self, stream: IO[bytes]) -> None:
        if _identity(os.fstat(stream.fileno())) != self._identity:
            raise file_problem(self.label, "it changed while it was being sent")

    def close(self) -> None:
        """Nothing is kept open between attempts."""


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class StreamSource:
    """A binary file object, sent from where it stands; one that cannot be rewound is copied first."""

    def __init__(self, stream: Any, *, label: str | None = None, base_name: str | None = None) -> None:
        name = getattr(stream, "name", None)
        self.base_name = base_name or (Path(name).name if isinstance(name, str) else None)
        self.label = label or (name if isinstance(name, str) else f"<{type(stream).__name__}>")
        self._copy: IO[bytes] | None = None
        if not _is_seekable(self.label, stream):
            stream = self._copy = self._spooled(stream)
        self._stream = stream
        with reading(self.label):
            self._start = stream.tell()
            self.size = stream.seek(0, os.SEEK_END) - self._start
            stream.seek(self._start)

    def _spooled(self, stream: Any) -> IO[bytes]:
        copy: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - closed by close()
        try:
            while block := _read(self.label, stream, BLOCK_BYTES):
                copy.write(block)
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return copy

    def head(self, count: int) -> bytes:
        with self.opened() as stream:
            return _read(self.label, stream, count)

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        with reading(self.label):
            self._stream.seek(self._start)
        yield self._stream

    opened_for_checks = opened

    def close(self) -> None:
        if self._copy:
            self._copy.close()


def _is_seekable(label: str, stream: Any) -> bool:
    try:
        return bool(stream.seekable())
    except (AttributeError, OSError):
        return False
    except ValueError as error:
        raise file_problem(label, f"{error}".rstrip(".")) from error

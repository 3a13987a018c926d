"""The content of an upload: a source with a known size that can be opened again for each attempt.

The declared length is a promise to the server, so a source is measured before the first byte is sent. A source that
changes while it is read raises a permanent MediaFileError, because the HTTP client would interpret an OSError in the
body as a broken connection. Files of object stores are streamed in constant memory, without a copy on disk.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_media._api.media_types import ACCEPTED_TYPES, HEAD_BYTES, detect_type
from airflow_provider_media._api.values import redact_url, redact_urls, safe_cause, show
from airflow_provider_media.exceptions import MediaError, MediaFileError, MediaUnavailableError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager


BLOCK_BYTES = 512 * 1024
SPOOL_BYTES = 1024 * 1024
"""Max bytes of a copy in memory; larger copies of streams that cannot be rewound are on disk."""

SAMPLE_BYTES = 1024 * 1024
"""Bytes of all samples of a source together; a source up to this size is its own sample."""

_SAMPLES = 16

_RECENT_SECONDS = 2.0
"""A file can change again without a new time within the granularity of its file system's times."""

_MAX_PATH = 4096
_CANNOT = " cannot be uploaded: "


class Source(ABC):
    """The content of one upload.

    :ivar base_name: the default name of the upload; None if unknown.
    :ivar on_hashed: called with the SHA-256 of the content before the end of a body is sent, if computed by then.
    """

    label: str
    size: int
    base_name: str | None
    on_hashed: Callable[[str], None] | None = None

    @property
    def version(self) -> Mapping[str, Any]:
        """What changes whenever the content does: an ETag, or the inode and times of a file; empty if unknown."""
        return {}

    def peek(self, count: int) -> bytes:
        """Read the first bytes."""
        with self.open_stream() as stream:
            return _read(self.label, stream, count)

    @abstractmethod
    def open_stream(self) -> AbstractContextManager[IO[bytes]]:
        """Open the content at its start; verify the source on exit."""

    def open_for_checks(self) -> AbstractContextManager[IO[bytes]]:
        """Open the content for random access; changes may go unnoticed."""
        return self.open_stream()

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Release the temporary copy, if any."""


def printable(path: object) -> str:
    """Return a path or name as a string that can be encoded; bytes that are not UTF-8 are escaped."""
    return str(path).encode(errors="backslashreplace").decode()


def template_hint(value: object) -> str:
    """Return the end of an error about a value: a question if an empty template renders to it."""
    is_empty = value is None or (isinstance(value, str) and value.strip() in {"", "None"})
    return ". Did a Jinja template render to an empty string?" if is_empty else "."


def missing_reason(path: Path) -> str:
    """Return why a local path does not exist; for a relative path, with the working directory."""
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


def file_error(label: object, reason: str) -> MediaFileError:
    """Return the error for a file that cannot be uploaded."""
    ending = "" if reason.endswith((".", "?")) else "."
    shown = repr(redact_url(label)) if isinstance(label, str) else redact_urls(show(label, max_length=_MAX_PATH))
    return MediaFileError(f"The file {shown}{_CANNOT}{redact_urls(reason)}{ending}")


def file_error_reason(error: MediaError) -> str:
    """Return the cause of a file error, without the name of the file."""
    return str(error).partition(_CANNOT)[2] or str(error)


def is_object_path(file: Any) -> bool:
    """Return whether this is the path of an object store; checks the class, because properties may connect."""
    return hasattr(type(file), "fs") and hasattr(type(file), "path")


def local_path(file: Any) -> Any:
    """Return the local path of a ``file://`` path, and everything else unchanged.

    A local file can be verified while it is open, which an object store does not offer.
    """
    is_local = is_object_path(file) and getattr(file, "protocol", None) in {"file", "local"}
    return Path(file.path) if is_local else file


def detect_mime_type(source: Source, *, default: str | None = None) -> str:
    """Detect the MIME type of a source by its first bytes."""
    found = detect_type(source.peek(HEAD_BYTES))
    mime_type = found.mime_type if found else default
    if mime_type is None:
        title, advice = (found.title, found.advice) if found else ("a file of unknown type", "")
        reason = f"{title}; the library accepts {ACCEPTED_TYPES}"
        error = file_error(source.label, f"{reason}. {advice}" if advice else reason)
        error.is_unsupported_type = True
        raise error
    return mime_type


def sha256(source: Source) -> str:
    """Return the SHA-256 of the content in hexadecimal digits."""
    digest = hashlib.sha256()
    for block in iter_chunks(source):
        digest.update(block)
    return digest.hexdigest()


def sample_digest(source: Source) -> str | None:
    """Return the SHA-256 of samples of the content; None for an object store, where each sample is a request."""
    if isinstance(source, ObjectSource):
        return None
    digest, length = hashlib.sha256(), min(source.size, SAMPLE_BYTES)
    count = 1 if length == source.size else _SAMPLES
    length //= count
    with source.open_for_checks() as stream, wrap_read_errors(source.label):
        start = stream.tell()
        for number in range(count):
            stream.seek(start + number * (source.size - length) // max(1, count - 1))
            remaining = length
            while remaining and (block := stream.read(remaining)):
                digest.update(block)
                remaining -= len(block)
    return digest.hexdigest()


class RunningDigest:
    """The SHA-256 of a source, computed while it is sent.

    Blocks in memory are hashed as they pass. A local file bypasses the process, so its bytes are hashed while the
    sender waits for the network. On a line that is faster than the hash, the digest stays incomplete.

    :param source: its version decides whether an incomplete digest suffices.
    """

    _STEP_BYTES = 128 * 1024
    _MAX_FINISH_BYTES = 8 * 1024 * 1024
    """Bytes that are hashed after the last wait; takes about 10 ms."""

    def __init__(self, source: Source) -> None:
        self._hash = hashlib.sha256()
        self._size = source.size
        self._max_finish_bytes = self._MAX_FINISH_BYTES if source.version else source.size
        self._done = 0
        self._buffer = memoryview(b"")

    def update(self, block: memoryview) -> None:
        """Hash the next block."""
        self._hash.update(block)
        self._done += len(block)

    def read(self, descriptor: int, end: int) -> bool:
        """Hash the next bytes of a local file; return whether there were any.

        :param end: the offset to stop at, so that the file is read from disk only once.
        """
        length = min(self._STEP_BYTES, end - self._done)
        if length <= 0:
            return False
        self._buffer = self._buffer or memoryview(bytearray(self._STEP_BYTES))
        try:
            count = os.preadv(descriptor, [self._buffer[:length]], self._done)
        except OSError:  # the sender reads the same bytes and raises
            return False
        self.update(self._buffer[:count])
        return count > 0

    def finish(self, descriptor: int) -> None:
        """Hash the remaining bytes of a local file, unless it takes long and its version shows changes too."""
        if self._size - self._done <= self._max_finish_bytes:
            while self.read(descriptor, self._size):
                pass

    def hexdigest(self) -> str | None:
        """Return the digest; None if it is incomplete."""
        return self._hash.hexdigest() if self._done == self._size else None


def iter_chunks(source: Source) -> Iterator[memoryview]:
    """Yield the content in chunks up to the declared size; all chunks share one buffer.

    :raises MediaFileError: the source shrinks, grows, is replaced or cannot be read.
    """
    for block in iter_regions(source):
        yield block.fill() if isinstance(block, FileRegion) else block


def iter_regions(source: Source, digest: RunningDigest | None = None) -> Iterator[memoryview | FileRegion]:
    """Yield the content up to the declared size: regions of a local file, or else chunks of one shared buffer.

    A region can be sent to a plain socket without being copied into the process.

    :raises MediaFileError: the source shrinks, grows, is replaced or cannot be read.
    """
    buffer = bytearray(min(BLOCK_BYTES, source.size))
    view = memoryview(buffer)
    remaining = source.size
    with source.open_stream() as stream:
        if isinstance(source, PathSource):
            for offset in range(0, source.size, len(buffer)):
                yield FileRegion(source.label, stream, offset, view[: source.size - offset], digest)
            if digest:
                digest.finish(stream.fileno())
            return
        while remaining:
            count = _read_into(source.label, stream, view[: min(remaining, len(buffer))])
            if not count:
                raise _shrank(source.label)
            remaining -= count
            if digest:
                digest.update(view[:count])
            yield view[:count]
        if _read(source.label, stream, 1):
            raise file_error(source.label, f"it grew beyond its {source.size} bytes while it was being sent")


def _shrank(label: str) -> MediaError:
    return file_error(label, "it became shorter while it was being sent")


class FileRegion:
    """Consecutive bytes of an open local file, as long as the buffer."""

    def __init__(
        self, label: str, stream: IO[bytes], offset: int, buffer: memoryview, digest: RunningDigest | None = None
    ) -> None:
        self._label = label
        self._digest = digest
        self._descriptor = stream.fileno()
        self._offset = offset
        self._buffer = buffer
        self._position = 0

    def __len__(self) -> int:
        """Return the number of bytes."""
        return len(self._buffer)

    def fill(self, start: int = 0) -> memoryview:
        """Read the bytes from ``start`` on into the buffer and return them."""
        done = start
        while done < len(self):
            with wrap_read_errors(self._label):
                count = os.preadv(self._descriptor, [self._buffer[done:]], self._offset + done)
            if not count:
                raise _shrank(self._label)
            done += count
        return self._buffer[start:]

    def send_to(self, sock: socket.socket, start: int) -> int:
        """Send bytes from ``start`` on with ``sendfile`` and return their number.

        :raises BlockingIOError: the send buffer is full.
        :raises ConnectionError: the connection is broken.
        """
        try:
            count = os.sendfile(sock.fileno(), self._descriptor, self._offset + start, len(self) - start)
        except (BlockingIOError, ConnectionError):
            raise
        except OSError:  # either sendfile is not supported, or reading fails and raises below
            return sock.send(self.fill(start))
        if not count:
            raise _shrank(self._label)
        return count

    def hash_more(self) -> bool:
        """Hash some bytes up to the end of the region while the sender waits; return whether there were any."""
        return self._digest is not None and self._digest.read(self._descriptor, self._offset + len(self))

    def read(self, size: int) -> bytes:
        """Read the next bytes, so that connections without ``send_to`` can use a region as a file object."""
        block = bytes(self.fill()[self._position : self._position + size])
        self._position += len(block)
        return block


def _read_into(label: str, stream: IO[bytes], view: memoryview) -> int:
    if hasattr(stream, "readinto"):
        with wrap_read_errors(label):
            return stream.readinto(view) or 0
    data = _read(label, stream, len(view))
    view[: len(data)] = data
    return len(data)


def _read(label: str, stream: IO[bytes], count: int) -> bytes:
    with wrap_read_errors(label):
        data = stream.read(count)
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise file_error(label, "it is in text mode; open it in binary mode ('rb')")
    if len(data) > count:
        raise file_error(label, "its read() returned more bytes than requested")
    return bytes(data)


@contextmanager
def wrap_read_errors(label: str) -> Iterator[None]:
    """Convert every exception of reading a source to a MediaFileError."""
    try:
        yield
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001 - streams and object stores raise anything
        raise file_error(label, f"reading it failed ({type(error).__name__}: {error})") from safe_cause(error)


def open_path(path: Path, *, takes_pipes: bool) -> Source:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise file_error(str(path), "it is a folder")
        if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
            raise file_error(str(path), "it is a device")
        if not stat.S_ISREG(found.st_mode):  # for example a named pipe, which can be read only once
            if not takes_pipes:
                raise file_error(str(path), "it is a named pipe or a socket, not a regular file")
            with path.open("rb") as stream:
                return StreamSource(stream, label=str(path), base_name=path.name)
        return PathSource(path, found)
    except FileNotFoundError:
        raise file_error(str(path), missing_reason(path)) from None
    except OSError as error:
        raise file_error(str(path), f"{error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise file_error(str(path), str(error)) from None


class PathSource(Source):
    """A regular file, which must not change after it was measured."""

    def __init__(self, path: Path, found: os.stat_result) -> None:
        self.label = str(path)
        self.base_name = path.name
        self.size = found.st_size
        self._path = path
        self._found = found
        self._opened_at = time.time()
        self._identity = _identity(found)
        if not os.access(path, os.R_OK):
            raise file_error(self.label, "this user has no permission to read it")

    @property
    def version(self) -> Mapping[str, Any]:
        """The inode and times; ctime, because mtime can be set. Empty if the file was changed a moment ago."""
        found = self._found
        if self._opened_at - found.st_ctime < _RECENT_SECONDS:
            return {}
        return {"inode": found.st_ino, "mtime_ns": found.st_mtime_ns, "ctime_ns": found.st_ctime_ns}

    @contextmanager
    def open_stream(self) -> Iterator[IO[bytes]]:
        try:
            stream = self._path.open("rb", buffering=0)
        except OSError as error:
            raise file_error(self.label, f"{error.strerror or error}") from error
        with stream:
            self._check(stream)
            yield stream
            self._check(stream)

    def _check(self, stream: IO[bytes]) -> None:
        if _identity(os.fstat(stream.fileno())) != self._identity:
            raise file_error(self.label, "it changed while it was being sent")


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class StreamSource(Source):
    """A binary file object, sent from its current position; copied first if it is not seekable."""

    def __init__(self, stream: Any, *, label: str | None = None, base_name: str | None = None) -> None:
        name = getattr(stream, "name", None)
        self.base_name = base_name or (Path(name).name if isinstance(name, str) else None)
        self.label = label or (name if isinstance(name, str) else f"<{type(stream).__name__}>")
        self._copy: IO[bytes] | None = None
        if not _is_seekable(self.label, stream):
            stream = self._copy = self._spooled(stream)
        self._stream = stream
        with wrap_read_errors(self.label):
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

    @contextmanager
    def open_stream(self) -> Iterator[IO[bytes]]:
        with wrap_read_errors(self.label):
            self._stream.seek(self._start)
        yield self._stream

    def close(self) -> None:
        if self._copy:
            self._copy.close()


def _is_seekable(label: str, stream: Any) -> bool:
    try:
        return bool(stream.seekable())
    except (AttributeError, OSError):
        return False
    except ValueError as error:
        raise file_error(label, f"{error}".rstrip(".")) from error


OBJECT_BLOCK_BYTES = 4 * 1024 * 1024
"""Bytes per read of an object; the default of some stores is 50 MiB."""

CHECK_BLOCK_BYTES = 256 * 1024
"""Bytes per read of a check, which uses random access."""

_PERMANENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError, ImportError)
"""Errors for missing files and buckets, missing permissions and invalid addresses."""


def is_transient(error: BaseException | None) -> bool:
    """Return whether the error is transient; fsspec backends share no class of connection errors."""
    return error is not None and not isinstance(error, _PERMANENT)


class ObjectSource(Source):
    """A file of an object store, which must not change after it was measured.

    :param path: an fsspec path object, such as Airflow's ``ObjectStoragePath``, with its file system (``fs``) and its
        name there (``path``).
    :param info: the entry of a current listing; None fetches it.
    """

    def __init__(self, path: Any, info: Mapping[str, Any] | None = None) -> None:
        self.label = redact_url(str(path))
        self.base_name = path.name
        with self._reading():
            self._file_system, self._name = path.fs, path.path
            info = info or self._fetch_info()
        if info.get("type") != "file":
            raise file_error(self.label, "it is a folder")
        self.size = info["size"]
        self._version = _version_in(info)

    @property
    def version(self) -> Mapping[str, Any]:
        """The fields that change with the content; dates do not, where two writes follow each other."""
        strong = ("ETag", "etag", "md5Hash", "content_md5", "generation", "VersionId")
        return {name: value for name, value in self._version.items() if name in strong and not value.startswith("W/")}

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._classify_errors(), wrap_read_errors(self.label):
            yield

    @contextmanager
    def _classify_errors(self) -> Iterator[None]:
        """Raise MediaUnavailableError for transient errors."""
        try:
            yield
        except MediaError as error:
            cause = error.__context__
            if isinstance(cause, FileNotFoundError):
                raise file_error(self.label, "it does not exist") from safe_cause(cause)
            if is_transient(cause):
                raise MediaUnavailableError(str(error)) from safe_cause(cause)
            raise

    def _fetch_info(self) -> Mapping[str, Any]:
        """Fetch the entry from the store, because listings cached in this process may be old."""
        self._file_system.invalidate_cache(self._name)
        info: Mapping[str, Any] = self._file_system.info(self._name)
        return info

    def peek(self, count: int) -> bytes:
        """Read the first bytes and fetch no others."""
        with self._reading():
            return bytes(self._file_system.cat_file(self._name, start=0, end=min(count, self.size)))

    @contextmanager
    def open_stream(self) -> Iterator[IO[bytes]]:
        """Open the object at its start; verify its version before and after it is read."""
        with self._reading():
            version = self._check(self._version)
            stream = self._file_system.open(self._name, "rb", block_size=OBJECT_BLOCK_BYTES)
        with stream, self._classify_errors():
            yield stream
        with self._reading():
            self._check(version)

    @contextmanager
    def open_for_checks(self) -> Iterator[IO[bytes]]:
        """Open the object without verifying its version, which takes two requests and is done by the upload."""
        with self._reading():
            stream = self._file_system.open(self._name, "rb", block_size=CHECK_BLOCK_BYTES)
        with stream, self._classify_errors():
            yield stream

    def _check(self, expected: Mapping[str, str]) -> dict[str, str]:
        """Fetch the version and compare the fields that both have."""
        version = _version_in(self._fetch_info())
        if any(version[name] != value for name, value in expected.items() if name in version):
            raise file_error(self.label, "it changed while it was being sent")
        return version


def _version_in(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that identify a version of an object; their names differ between stores."""
    names = ("size", "ETag", "etag", "md5Hash", "generation", "VersionId", "content_md5", "mtime", "last_modified")
    return {name: str(info[name]) for name in names if info.get(name) is not None}


def open_source(file: Any, *, info: Mapping[str, Any] | None = None, takes_pipes: bool = True) -> Source:
    """Measure a file for an upload; only sources that cannot be rewound are read.

    :param file: a path, the path object of an object store (Airflow's ObjectStoragePath), or a binary file object.
    :param info: the entry of a current listing of the object store, which saves a request.
    :param takes_pipes: whether to read the path of a named pipe, which blocks until another process writes.
    :raises MediaFileError: the file is missing, empty, unreadable, not a file or not binary.
    :raises MediaUnavailableError: an object store does not respond.
    """
    file = local_path(file)
    if hasattr(file, "read"):
        source: Source = StreamSource(file)
    elif is_object_path(file):  # Airflow 2's ObjectStoragePath is a Path too
        source = ObjectSource(file, info)
    elif isinstance(file, (str, os.PathLike)) and str(file) not in {"", "None"}:
        source = open_path(Path(file), takes_pipes=takes_pipes)
    else:
        raise file_error(file, f"it is not a file path{template_hint(file)}")
    if source.size == 0:
        source.close()
        raise file_error(source.label, "it is empty (0 bytes), perhaps a placeholder")
    return source

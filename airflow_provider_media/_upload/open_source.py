"""Open the source of an upload. Files of object stores are streamed in constant memory, without a copy on disk."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_media._api.secret import redact_url, safe_cause
from airflow_provider_media._upload.source import (
    StreamSource,
    file_error,
    is_object_path,
    local_path,
    open_path,
    template_hint,
    wrap_read_errors,
)
from airflow_provider_media.exceptions import MediaError, MediaUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_media._upload.source import Source

BLOCK_BYTES = 4 * 1024 * 1024
"""Bytes per read; the default of some stores is 50 MiB."""

CHECK_BLOCK_BYTES = 256 * 1024
"""Bytes per read of a check, which uses random access."""

_PERMANENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError, ImportError)
"""Errors for missing files and buckets, missing permissions and invalid addresses."""


def is_transient(error: BaseException | None) -> bool:
    """Return whether the error is transient; fsspec backends share no class of connection errors."""
    return error is not None and not isinstance(error, _PERMANENT)


class ObjectSource:
    """A file of an object store, which must not change after it was measured.

    :param path: an fsspec path object, such as Airflow's ``ObjectStoragePath``, with its file system (``fs``) and its
        name there (``path``).
    :param info: the entry of a current listing; None fetches it.
    :raises MediaFileError: the file cannot be uploaded.
    :raises MediaUnavailableError: the store does not respond.
    """

    def __init__(self, path: Any, info: Mapping[str, Any] | None = None) -> None:
        self.label = redact_url(str(path))
        is_http = str(path).lower().startswith(("http://", "https://"))
        # Without the query of an HTTP path, which may contain a signature.
        self.base_name: str | None = re.split("[?#]", str(path))[0].rpartition("/")[2] if is_http else path.name
        with self._reading():
            self._file_system, self._name = path.fs, path.path
            info = info or self._fetch_info()
        if info.get("type") != "file":
            raise file_error(self.label, "it is a folder")
        self.size: int = info["size"]
        self._version = _version_in(info)

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
            stream = self._file_system.open(self._name, "rb", block_size=BLOCK_BYTES)
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

    def close(self) -> None:
        """Do nothing: no file stays open between attempts."""


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

"""A file of an object store as the source of an upload: streamed through, in flat memory, never onto the disk."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_media._api.secret import redact_url, safe_cause
from airflow_provider_media._upload.source import (
    StreamSource,
    file_problem,
    is_object_path,
    local_path,
    open_path,
    reading,
)
from airflow_provider_media.exceptions import MediaError, MediaUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_media._upload.source import Source

BLOCK_BYTES = 4 * 1024 * 1024
"""How much is fetched at a time; the stores' own blocks are up to 50 MiB."""

CHECK_BLOCK_BYTES = 256 * 1024
"""The same for a check, which reads here and there."""

_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ValueError, ImportError)
"""What a store says of a missing file or bucket, of a key that may not read it, and of an address that is none."""


def is_transient(error: BaseException | None) -> bool:
    """Whether it may help to ask an object store again later: each has errors of its own for a line that is down."""
    return error is not None and not isinstance(error, _LASTING)


class ObjectSource:
    """A file of an object store, which must stay the very object that was measured.

    :param path: an fsspec path object, such as Airflow's ``ObjectStoragePath``: it knows its file system (``fs``) and
        its name there (``path``).
    :param facts: what a listing told of it just now; None asks.
    :raises MediaFileError: when it cannot be uploaded, MediaUnavailableError when the store does not answer.
    """

    def __init__(self, path: Any, facts: Mapping[str, Any] | None = None) -> None:
        self.label = redact_url(str(path))
        is_http = str(path).lower().startswith(("http://", "https://"))
        # Not the query of an HTTP path, which may hold a signature.
        self.base_name: str | None = re.split("[?#]", str(path))[0].rpartition("/")[2] if is_http else path.name
        with self._reading():
            self._file_system, self._name = path.fs, path.path
            facts = facts or self._fresh_facts()
        if facts.get("type") != "file":
            raise file_problem(self.label, "it is a folder")
        self.size: int = facts["size"]
        self._version = _version_in(facts)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._sorting(), reading(self.label):
            yield

    @contextmanager
    def _sorting(self) -> Iterator[None]:
        """Tell the problems that may pass from those that last."""
        try:
            yield
        except MediaError as problem:
            cause = problem.__context__
            if isinstance(cause, FileNotFoundError):
                raise file_problem(self.label, "it does not exist") from safe_cause(cause)
            if is_transient(cause):
                raise MediaUnavailableError(str(problem)) from safe_cause(cause)
            raise

    def _fresh_facts(self) -> Mapping[str, Any]:
        """Ask the store itself: what an earlier listing in this process told may be old by now."""
        self._file_system.invalidate_cache(self._name)
        facts: Mapping[str, Any] = self._file_system.info(self._name)
        return facts

    def head(self, count: int) -> bytes:
        """Read the first bytes, and fetch no more than these."""
        with self._reading():
            return bytes(self._file_system.cat_file(self._name, start=0, end=min(count, self.size)))

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open the object from its start; it must be the one that was measured, then and when all of it is read."""
        with self._reading():
            version = self._check(self._version)
            stream = self._file_system.open(self._name, "rb", block_size=BLOCK_BYTES)
        with stream, self._sorting():
            yield stream
        with self._reading():
            self._check(version)  # which tells more than a listing

    @contextmanager
    def opened_for_checks(self) -> Iterator[IO[bytes]]:
        """Open the object without asking for its version, which costs two requests: an upload asks for it anyway."""
        with self._reading():
            stream = self._file_system.open(self._name, "rb", block_size=CHECK_BLOCK_BYTES)
        with stream, self._sorting():
            yield stream

    def _check(self, expected: Mapping[str, str]) -> dict[str, str]:
        """Ask for the version; it must be the expected one, as far as both are told."""
        version = _version_in(self._fresh_facts())
        if any(version[name] != value for name, value in expected.items() if name in version):
            raise file_problem(self.label, "it changed while it was being sent")
        return version

    def close(self) -> None:
        """Nothing is kept open between attempts."""


def _version_in(facts: Mapping[str, Any]) -> dict[str, str]:
    """Pick what tells one version of an object from another; stores differ in the names, and a listing tells less."""
    names = ("size", "ETag", "etag", "md5Hash", "generation", "VersionId", "content_md5", "mtime", "last_modified")
    return {name: str(facts[name]) for name in names if facts.get(name) is not None}


def open_source(file: Any, *, facts: Mapping[str, Any] | None = None, takes_pipes: bool = True) -> Source:
    """Measure what a caller wants to upload; nothing is read yet, save from what can be read only once.

    :param file: a path, an object store's path object (Airflow's ObjectStoragePath), or a binary file object.
    :param facts: what a listing of the object store told of it just now, so that it need not be asked again.
    :param takes_pipes: whether the path of a named pipe is read: that waits for whoever writes into it.
    :raises MediaFileError: when it is missing, empty, unreadable, not a file or not binary; MediaUnavailableError
        when an object store does not answer.
    """
    file = local_path(file)
    if hasattr(file, "read"):
        source: Source = StreamSource(file)
    elif is_object_path(file):  # Airflow 2's ObjectStoragePath is a Path too
        source = ObjectSource(file, facts)
    elif isinstance(file, (str, os.PathLike)) and str(file) not in {"", "None"}:
        source = open_path(Path(file), takes_pipes=takes_pipes)
    else:
        empty = file in ("", "None", None)
        raise file_problem(file, f"it is not a file path.{' Did a template render to nothing?' if empty else ''}")
    if source.size == 0:
        source.close()
        raise file_problem(source.label, "it is empty (0 bytes), perhaps a placeholder")
    return source

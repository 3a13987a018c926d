"""Write files of the library, and read and write small text files, on a local disk or in an object store."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_media._api.values import redact_url, redact_urls, safe_cause
from airflow_provider_media._upload.source import (
    file_error_reason,
    is_object_path,
    is_transient,
    iter_chunks,
    local_path,
    open_source,
    sha256,
)
from airflow_provider_media.exceptions import MediaError, MediaFileError, MediaUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_media.models import Media


def download_file(media: Media, target: Any, *, verify: bool | str, must_not_replace: bool = False) -> None:
    """Write the content of a file; an existing target is replaced, on a local disk and in S3 atomically."""
    what = f"Could not download {media.name!r} ({media.id})"
    target = as_local(target)
    try:
        _copy(media, target, verify=verify, must_not_replace=must_not_replace)
    except MediaError as error:
        raise type(error)(f"{what}: {file_error_reason(error)}") from error
    except Exception as error:  # noqa: BLE001 - object stores raise errors of their own
        reason = redact_urls(f"{type(error).__name__}: {error}".rstrip("."))
        error_class = MediaUnavailableError if is_object_path(target) and is_transient(error) else MediaFileError
        raise error_class(f"{what} to {redact_url(str(target))!r}: {reason}.") from safe_cause(error)


def _copy(media: Media, target: Any, *, verify: bool | str, must_not_replace: bool) -> None:
    from airflow_provider_media._transports.url import UrlPath

    if media.url is None:
        raise MediaFileError("the library returns no URL.")
    source, shown = open_source(UrlPath(media.url, verify=verify)), redact_url(str(target))
    if media.size and source.size != media.size:
        raise MediaFileError(f"its URL has {source.size} bytes, the library shows {media.size}.")
    if must_not_replace and target.exists():
        if sha256(open_source(target)) == sha256(source):
            return
        raise MediaFileError(f"{shown!r} exists and has another content.")
    if not is_object_path(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") if is_object_path(target) else replacing(target) as stream:
        for block in iter_chunks(source):
            stream.write(block)
    written = target.stat().st_size
    if written != source.size:
        raise MediaFileError(f"{shown!r} has {written} bytes instead of {source.size}.")


def read_text(path: Any) -> str:
    """Return the content of a file."""
    target = as_local(path)
    check_regular(target)
    text: str = target.read_bytes().decode()
    return text


def check_regular(path: Any) -> None:
    """Raise OSError for a pipe or a device, because reading may block, and writing would replace it by a file."""
    if not is_object_path(path) and path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, not a file", str(path))


def write_text(path: Any, text: str) -> None:
    """Write a file atomically, on a local disk and in S3.

    Symbolic links are followed. An existing file keeps its mode and group, and its owner if the process has the
    permission; a new file gets the mode of the umask.
    """
    target = as_local(path)
    if is_object_path(target):
        target.write_bytes(text.encode())
        return
    target = resolve_target(target)
    check_regular(target)
    with replacing(target) as stream:
        stream.write(text.encode())
        with suppress(FileNotFoundError):
            _keep_access(stream.fileno(), target.stat())


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces a local file at the end of the block, atomically."""
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())  # so that a crash does not leave an empty file
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def resolve_target(path: Path) -> Path:
    """Follow the symbolic links of a local path, which need not exist; a loop raises an OSError."""
    try:
        return path.resolve()
    except RuntimeError as error:  # Python 3.11 and 3.12 raise this for a loop
        raise OSError(str(error)) from error


def _keep_access(descriptor: int, old: os.stat_result) -> None:
    """Set the group, owner and mode of the old file, as far as permitted."""
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(PermissionError):
            os.fchown(descriptor, owner, group)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))  # last, because changing the owner clears bits


def as_local(path: Any) -> Any:
    """Return a local path as a Path, and the path of an object store unchanged."""
    path = local_path(path)
    return path if is_object_path(path) or not isinstance(path, (str, os.PathLike)) else Path(path)

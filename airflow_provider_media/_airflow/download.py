"""Write a file of the library to a path or an object store, and verify it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_media._airflow.paths import as_local, replacing
from airflow_provider_media._api.values import redact_url, redact_urls, safe_cause
from airflow_provider_media._upload.source import (
    file_error_reason,
    is_object_path,
    is_transient,
    iter_chunks,
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
    from airflow_provider_media._transports.url import url_path

    if media.url is None:
        raise MediaFileError("the library returns no URL.")
    source, shown = open_source(url_path(media.url, verify=verify)), redact_url(str(target))
    if media.size and source.size != media.size:
        raise MediaFileError(f"its URL has {source.size} bytes, the library shows {media.size}.")
    if must_not_replace and target.exists():
        if sha256(open_source(target)) == sha256(source):
            return
        raise MediaFileError(f"{shown!r} exists and has another content.")
    with _open_target(target) as stream:
        for block in iter_chunks(source):
            stream.write(block)
    written = target.stat().st_size
    if written != source.size:
        raise MediaFileError(f"{shown!r} has {written} bytes instead of {source.size}.")


@contextmanager
def _open_target(target: Any) -> Iterator[IO[bytes]]:
    if is_object_path(target):
        with target.open("wb") as stream:
            yield stream
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as stream:
        yield stream

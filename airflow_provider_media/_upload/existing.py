"""Complete the metadata of existing files before one is reused as an upload, or deleted for it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from airflow_provider_media._api.flows import Flow, get_settled
from airflow_provider_media._api.values import format_ids
from airflow_provider_media.exceptions import MediaConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_media._api.secret import Secret
    from airflow_provider_media._api.settings import Settings
    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media


def fetch_details(upload: UploadSpec, found: Iterable[Media], *, settle_seconds: float = 0.0) -> Flow[list[Media]]:
    """Return the files that could match the upload, with the details that the list lacks.

    Files that no longer exist are skipped.

    :param settle_seconds: how long a listed file may take until a GET finds it.
    """
    listed = [media for media in found if upload.could_match_with_details(media)]
    incomplete = [media.id for media in listed if upload.needs_details_for(media)]
    details = yield from get_settled(incomplete, settle_seconds)
    full = [
        merge_details(media, details[str(media.id)]) if str(media.id) in details else media
        for media in listed
        if media.id not in incomplete or str(media.id) in details
    ]
    return [media for media in full if upload.could_match(media)]


def merge_details(listed: Media, details: Media) -> Media:
    """Add the details of a GET to an entry of the list; fields without a value stay as listed.

    The creation date stays as listed too, because baselines compare dates of the list and a GET may return another
    precision.
    """
    known = {field.name: getattr(details, field.name) for field in fields(details) if field.name != "id"}
    if listed.created_at is not None:
        del known["created_at"]
    return replace(listed, **{name: value for name, value in known.items() if value is not None})


def with_unknown_folder(upload: UploadSpec, existing: Iterable[Media]) -> tuple[Media, ...]:
    """Return the files that may be in another folder: they may be reused, but not deleted."""
    return tuple(media for media in existing if upload.has_unknown_folder(media))


def check_folders(upload: UploadSpec, existing: Iterable[Media]) -> None:
    """Check that all files that an upload replaces are in its folder.

    :raises MediaConflictError: the folder of a file is unknown.
    """
    unknown = with_unknown_folder(upload, existing)
    if unknown:
        raise MediaConflictError(
            f"Could not replace {upload.name!r} in folder {upload.folder_id}: {format_unknown_folders(unknown)} Or"
            " choose if_exists='upload'. Nothing was deleted.",
        )


def format_unknown_folders(unknown: Iterable[Media]) -> str:
    """Return why the files are not replaced, and the action."""
    return (
        f"the API does not return the folder of {format_ids(unknown)}, which may be another folder. If it is this one,"
        " delete the file by its id."
    )


_MAX_FILES = 1000


class RecentUploads:
    """The latest uploads of this process, which the list may lack for a while."""

    def __init__(self) -> None:
        # No lock, because a forked child could inherit it while it is held; append and copy are atomic.
        self._files: deque[tuple[str, Secret[str], str, int | str, float]] = deque(maxlen=_MAX_FILES)

    def add(self, settings: Settings, name: str, media_id: int | str) -> None:
        """Add a file.

        :param name: the name in the request.
        """
        self._files.append((settings.base_url, settings.api_key, name, media_id, time.monotonic()))

    def clear(self) -> None:
        """Remove all files."""
        self._files.clear()

    def ids_of(self, settings: Settings, name: str) -> tuple[int | str, ...]:
        """Return the ids of the files that were uploaded with a name within the settling time."""
        since = time.monotonic() - settings.settle_seconds
        files = list(self._files)
        key = (settings.base_url, settings.api_key, name)
        return tuple(media_id for *stored, media_id, at in files if tuple(stored) == key and at >= since)

    def latest_of(self, settings: Settings) -> int | str | None:
        """Return the id of the last uploaded file, if it was uploaded within the settling time."""
        since, key = time.monotonic() - settings.settle_seconds, (settings.base_url, settings.api_key)
        for *library, _, media_id, at in reversed([*self._files]):
            if tuple(library) == key and at >= since:
                return media_id
        return None


RECENT_UPLOADS = RecentUploads()

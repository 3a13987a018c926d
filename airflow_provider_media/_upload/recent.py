"""The recent uploads of this process, which the list may lack for a while."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_media._api.secret import Secret
    from airflow_provider_media._api.settings import Settings

_MAX_FILES = 1000


class RecentUploads:
    """Library, name, id and time of the latest uploads."""

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

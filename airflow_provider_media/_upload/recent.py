"""What this process stored lately: a list may lack it for a while, and it must not be taken for a new file then."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_media._api.secret import Secret
    from airflow_provider_media._api.settings import Settings

_MAX_FILES = 1000


class RecentUploads:
    """The latest uploads: each one's library, name, id and time."""

    def __init__(self) -> None:
        # Without a lock, which a forked child might inherit while it is held: appending and copying are atomic.
        self._files: deque[tuple[str, Secret[str], str, int | str, float]] = deque(maxlen=_MAX_FILES)

    def add(self, settings: Settings, name: str, media_id: int | str) -> None:
        """Remember a file.

        :param name: the name that it was sent under.
        """
        self._files.append((settings.base_url, settings.api_key, name, media_id, time.monotonic()))

    def clear(self) -> None:
        """Forget all files."""
        self._files.clear()

    def ids_of(self, settings: Settings, name: str) -> tuple[int | str, ...]:
        """Return the ids of the files that were stored under a name within the settling time."""
        since = time.monotonic() - settings.settle_seconds
        files = list(self._files)
        wanted = (settings.base_url, settings.api_key, name)
        return tuple(media_id for *stored, media_id, at in files if tuple(stored) == wanted and at >= since)

    def latest_of(self, settings: Settings) -> int | str | None:
        """Return the id of the file that was stored last, if that was within the settling time."""
        since, wanted = time.monotonic() - settings.settle_seconds, (settings.base_url, settings.api_key)
        for *library, _, media_id, at in reversed([*self._files]):
            if tuple(library) == wanted and at >= since:
                return media_id
        return None


RECENT_UPLOADS = RecentUploads()

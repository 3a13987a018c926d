"""Back up files before they are deleted: no backup, no deletion."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_media._api.values import redact_url
from airflow_provider_media.exceptions import MediaConfigurationError
from airflow_provider_media.hooks._base import as_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media

log = logging.getLogger(__name__)

_MAX_NAME_CHARS = 150


class Backup:
    """Writes files to a folder, each as ``<id>-<name>``; an instance writes a file once.

    :param hook: the library.
    :param folder: a path, or the URI of an object store.
    :raises MediaConfigurationError: it is a URL of a web server.
    """

    def __init__(self, hook: MediaHook, folder: Any) -> None:
        folder = as_path(folder)
        self._hook = hook
        self._folder = Path(folder) if isinstance(folder, str) else folder
        self._written: set[str] = set()
        if not hasattr(self._folder, "mkdir"):
            raise MediaConfigurationError(f"backup_to cannot be written: {redact_url(str(folder))!r}.")

    def __call__(self, found: Iterable[Media]) -> None:
        """Write files that are not written yet, and verify their sizes.

        :raises MediaError: one cannot be written, so it must not be deleted.
        """
        for media in found:
            if str(media.id) in self._written:
                continue
            name = quote(media.name or "file", safe=" ()")[-_MAX_NAME_CHARS:]
            target = self._folder / f"{quote(str(media.id), safe='')}-{name}"
            self._hook.download(media, target, must_not_replace=True)
            self._written.add(str(media.id))
            log.info("Backed up media %r to %r", media.id, redact_url(str(target)))

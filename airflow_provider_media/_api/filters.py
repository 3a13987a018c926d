"""Match a file's name, type and folder with a filter; a filter of ``None`` matches every file."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_media.models import Media


def name_matches(media: Media, pattern: str | None, *, is_exact: bool = False) -> bool:
    """Return whether the name matches; a name with wildcards, such as ``banner [1].png``, also matches itself.

    :param is_exact: treat the pattern as a name without wildcards.
    """
    if pattern is None or media.name is None:
        return pattern is None
    return media.name == pattern or (not is_exact and fnmatchcase(media.name, pattern))


def type_matches(media: Media, pattern: str | None) -> bool:
    """Return whether the MIME type matches, ignoring case and parameters."""
    return pattern is None or fnmatchcase((media.mime_type or "").partition(";")[0].strip().lower(), pattern.lower())


def folder_matches(media: Media, folder_id: str | None) -> bool:
    """Return whether the file is in the folder; False if its folder is unknown."""
    return folder_id is None or (media.folder_id is not None and str(media.folder_id) == folder_id)

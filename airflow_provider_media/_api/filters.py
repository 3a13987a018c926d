"""Whether a file's name, type and folder fit what a filter asks for; ``None`` asks for nothing."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_media.models import Media


def name_matches(media: Media, pattern: str | None, *, is_exact: bool = False) -> bool:
    """Whether the name matches; one that holds wildcards of its own, as ``banner [1].png``, matches itself as well.

    :param is_exact: whether the pattern is a name, and nothing in it a wildcard.
    """
    if pattern is None or media.name is None:
        return pattern is None
    return media.name == pattern or (not is_exact and fnmatchcase(media.name, pattern))


def type_matches(media: Media, pattern: str | None) -> bool:
    """Whether the MIME type matches, whatever its case and without its parameters."""
    return pattern is None or fnmatchcase((media.mime_type or "").partition(";")[0].strip().lower(), pattern.lower())


def folder_matches(media: Media, folder_id: str | None) -> bool:
    """Whether the file is known to be in the folder."""
    return folder_id is None or (media.folder_id is not None and str(media.folder_id) == folder_id)

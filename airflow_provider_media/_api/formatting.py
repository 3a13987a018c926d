"""Format counts, sizes and ids for log lines and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_media.models import Media

_UNITS = ("kB", "MB", "GB", "TB")
_KILO = 1000


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 file``, ``2 files``, ``2 entries``."""
    if count == 1:
        return f"{count} {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


def format_size(size: int | None) -> str:
    """Return a size for people: ``823 bytes``, ``81.7 kB``, ``12.1 MB``; ``unknown size`` of None.

    :param size: in bytes; 1 MB is 1,000,000 bytes.
    """
    if size is None:
        return "unknown size"
    if size < _KILO:
        return plural(size, "byte")
    value, units = size / _KILO, [*_UNITS]
    while round(value, 1) >= _KILO and len(units) > 1:
        value /= _KILO
        del units[0]
    return f"{value:.1f} {units[0]}"


def format_media(media: Media) -> str:
    """Return a file's id, size and URL on one line: ``id 17, 81.7 kB, 'https://…'``."""
    return f"id {media.id!r}, {format_size(media.size)}, {media.url!r}"


def format_ids(found: Iterable[Media], *, with_sizes: bool = False) -> str:
    """Return the ids of files: ``17, 18``, or ``17 (81.7 kB), 18 (90 bytes)``."""
    return ", ".join(
        f"{_escape(media.id)} ({format_size(media.size)})" if with_sizes else _escape(media.id) for media in found
    )


def _escape(media_id: int | str) -> str:
    text = str(media_id)
    return text if text.isprintable() else repr(text)[1:-1]

"""Changes that a platform may make to a stored file's name and bytes. By default none."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_media.sandbox.settings import NameStyle

_SHORT_NAME_LENGTH = 16

_ADDED_BYTES = b"\x00\x00\x00\x18free" + b"re-encoded here!"
"""An MP4 box that readers skip; readers also ignore it after the end of an image."""


def _slug(name: str) -> str:
    path = PurePath(name)
    stem = re.sub("[^a-z0-9]+", "-", str(path.with_suffix("")).lower()).strip("-")
    return f"{stem or 'file'}{path.suffix.lower()}"


_CHANGES: dict[NameStyle, Callable[[str], str]] = {
    "kept": lambda name: name,
    "trimmed": lambda name: unicodedata.normalize("NFC", name).strip(),
    "lower": str.lower,
    "slug": _slug,
    "short": lambda name: name[:_SHORT_NAME_LENGTH],
}


def stored_name(name: str, style: NameStyle) -> str:
    """Return the name that the library stores.

    :param name: the uploaded name.
    """
    return _CHANGES[style](name)


def reencode(path: Path) -> None:
    """Change a file's bytes and size deterministically; it stays readable.

    :param path: the file to change in place.
    """
    with path.open("ab") as file:
        file.write(_ADDED_BYTES)

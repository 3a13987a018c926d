"""Patterns for the paths of a folder, and the files that a sync skips by default."""

from __future__ import annotations

import re
import unicodedata
from fnmatch import translate
from typing import TYPE_CHECKING, Self

from airflow_provider_media.exceptions import MediaConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_ALTERNATIVES = 1000
"""How many patterns the braces of one pattern may expand to."""

_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")

SKIPPED_FOLDERS = (
    *("@eaDir", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot"),  # network storage
    *("$RECYCLE.BIN", "System Volume Information", "lost+found", "__MACOSX"),
)
"""Folders that storage systems add (case-insensitive); hidden folders are skipped as well."""

SKIPPED_FILES = (
    *("Thumbs.db", "ehthumbs*.db", "desktop.ini", "Icon\r", "~$*"),  # file managers and office programs
    *("*.part", "*.filepart", "*.partial", "*.crdownload", "*.!ut", "~syncthing~*"),  # transfers that are not complete
    *("*_$folder$", "_SUCCESS"),  # markers in object stores
)
"""Files without content (case-insensitive); hidden files are skipped as well."""


class PathPattern:
    """A pattern for relative paths.

    ``*``, ``?`` and ``[...]`` match within one name, ``**`` any number of folders, ``{jpg,png}`` either. Patterns are
    case-sensitive. The time to match grows with the length of the path times that of the pattern.

    :param pattern: the pattern; leading and trailing slashes are ignored.
    :raises MediaConfigurationError: its braces expand to too many patterns.
    """

    def __init__(self, pattern: str) -> None:
        """Compile the pattern."""
        composed = unicodedata.normalize("NFC", pattern).strip("/")
        self._alternatives = [
            [None if name == "**" else re.compile(translate(name)).match for name in alternative.split("/")]
            for alternative in _expand_braces(composed)
        ]

    @classmethod
    def anywhere(cls, pattern: str) -> Self:
        """Return a pattern that matches files and folder contents, at any depth if it contains no ``/``."""
        stripped = pattern.strip("/")
        return cls(f"{stripped}/**" if "/" in stripped else f"**/{stripped}/**")

    def matches(self, path: str) -> bool:
        """Return whether the pattern matches a path."""
        return any(len(names) in self._reached(names, path.split("/")) for names in self._alternatives)

    def may_match_within(self, folder: str) -> bool:
        """Return whether the pattern may match a path within a folder."""
        parts = folder.split("/") if folder else []
        return any(
            any(position < len(names) for position in self._reached(names, parts)) for names in self._alternatives
        )

    @staticmethod
    def _reached(names: Sequence[Callable[[str], object] | None], parts: Sequence[str]) -> set[int]:
        """Return the positions in the pattern that can be reached after the parts of a path."""
        positions = _skip_folders(names, {0})
        for part in parts:
            following: set[int] = set()
            for position in positions:
                if position == len(names):
                    continue
                match = names[position]
                if match is None:
                    following.add(position)
                elif match(part):
                    following.add(position + 1)
            positions = _skip_folders(names, following)
        return positions


def _skip_folders(names: Sequence[object], positions: set[int]) -> set[int]:
    """Add the positions after each ``**``, which may match no folder."""
    reached = set(positions)
    for position in positions:
        following = position
        while following < len(names) and names[following] is None:
            following += 1
            reached.add(following)
    return reached


def _expand_braces(pattern: str) -> list[str]:
    """Expand the braces of a pattern, innermost first."""
    expanded, complete = [pattern], False
    while not complete:
        complete = True
        following: list[str] = []
        for one in expanded:
            found = _BRACES.search(one)
            if found is None:
                following.append(one)
                continue
            complete = False
            following += [one[: found.start()] + choice + one[found.end() :] for choice in found[1].split(",")]
        expanded = following
        if len(expanded) > MAX_ALTERNATIVES:
            raise MediaConfigurationError(
                f"The braces of the pattern {pattern[:200]!r} expand to more than {MAX_ALTERNATIVES} patterns. Use"
                " fewer alternatives, or wildcards.",
            )
    return list(dict.fromkeys(expanded))


_FOLDERS = [re.compile(translate(pattern.lower())).match for pattern in SKIPPED_FOLDERS]
_FILES = [(pattern, re.compile(translate(pattern.lower())).match) for pattern in SKIPPED_FILES]


def reason_to_skip(path: str) -> str | None:
    """Return the name or pattern that makes a sync skip a file; None if it does not.

    :param path: the relative path. An empty name, ``.`` and ``..`` are not hidden, because object keys contain them.
    """
    *folders, name = path.split("/")
    for folder in folders:
        if _is_hidden(folder) or any(match(folder.lower()) for match in _FOLDERS):
            return f"{folder}/"
    if _is_hidden(name):
        return ".*"
    return next((pattern for pattern, match in _FILES if match(name.lower())), None)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name not in {".", ".."}

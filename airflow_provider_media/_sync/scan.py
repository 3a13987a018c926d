"""List the files of a folder or an object store's prefix, and derive their names in the library."""

from __future__ import annotations

import logging
import os
import re
import string
import unicodedata
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_media._api.values import escape_controls, plural, redact_url, redact_urls, safe_cause
from airflow_provider_media._upload.source import is_object_path, is_transient, local_path, missing_reason, printable
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError, MediaFileError, MediaUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

log = logging.getLogger(__name__)

LINK = "links to folders already read"

MAX_SKIPPED_SHOWN = 10
"""How many patterns of skipped files the log shows."""

_PLACEHOLDERS = ("path", "name", "stem", "suffix")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """One file of a folder; its relative path is composed (Unicode's NFC), so that it is equal on every file system."""

    path: Any
    relative: str
    info: Mapping[str, Any] | None = None


def find_files(root: Any, pattern: str = "**/*", exclude: Sequence[str] = (), *, written: str = "") -> list[FoundFile]:
    """List the files of a folder, sorted by their relative paths.

    Hidden files and folders, and :data:`SKIPPED_FOLDERS` and :data:`SKIPPED_FILES`, are skipped, with
    one log line. Links are followed; a folder with several paths is read once.

    :param written: the root as the user wrote it, because a path object drops trailing slashes.
    """
    if isinstance(root, (str, os.PathLike)) and str(root) in {"", "None"}:
        raise _folder_problem(str(root), "not the path of a folder. Did a Jinja template render to an empty string?")
    included, excluded = PathPattern(pattern), [(one, PathPattern.anywhere(one)) for one in exclude]
    skipped: Counter[str] = Counter()
    if isinstance(root, Mapping):  # files given by name, such as URLs
        label, found = written, [FoundFile(path=path, relative=_composed(name)) for name, path in root.items()]
    else:
        root = local_path(root)
        label, found = str(root), _list_folder(root, written, included, skipped)
    kept = []
    for file in found:
        if included.matches(file.relative):
            reasons = [reason_to_skip(file.relative), *(one for one, not_ in excluded if not_.matches(file.relative))]
            if reason := next(filter(None, reasons), None):
                skipped[reason] += 1
            else:
                kept.append(file)
    if skipped:
        shown = [f"{escape_controls(name)} ({count})" for name, count in skipped.most_common(MAX_SKIPPED_SHOWN)]
        shown += [f"and {len(skipped) - MAX_SKIPPED_SHOWN} more patterns"] * (len(skipped) > MAX_SKIPPED_SHOWN)
        log.info("Skipped in %r: %s", redact_url(printable(label)), ", ".join(shown))
    if not kept:
        among = f"none of its {plural(len(found), 'file')} matches {pattern!r}" if found else "it contains no files"
        if skipped:
            among = f"all files that match {pattern!r} are skipped ({', '.join(map(escape_controls, skipped))})"
        raise _folder_problem(label, among)
    return sorted(kept, key=lambda file: file.relative)


def _list_folder(root: Any, written: str, pattern: PathPattern, skipped: Counter[str]) -> list[FoundFile]:
    """List a folder or a prefix; an error shows the path within it that failed."""
    is_object_store = is_object_path(root)
    try:
        return list(_walk_object_store(root, written) if is_object_store else _walk(Path(root), pattern, skipped))
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001 - object stores raise errors of their own
        reason = (getattr(error, "strerror", None) or str(error)).rstrip(".")
        filename = getattr(error, "filename", None)
        if filename and str(filename) != str(root):
            reason = f"{reason}: {printable(filename)!r}"
        error_class = MediaUnavailableError if is_object_store and is_transient(error) else MediaFileError
        raise _folder_problem(str(root), reason, error_class) from safe_cause(error)


def _folder_problem(label: str, reason: str, error_class: type[MediaError] = MediaFileError) -> MediaError:
    ending = "" if reason.endswith("?") else "."
    return error_class(f"The folder {redact_url(label)!r} cannot be synced: {redact_urls(reason)}{ending}")


def _walk(root: Path, pattern: PathPattern, skipped: Counter[str]) -> Iterator[FoundFile]:
    """Read each folder once, links last, so that files have their own path rather than that of a link."""
    if not root.exists():
        raise _folder_problem(str(root), missing_reason(root))
    if not root.is_dir():
        raise _folder_problem(str(root), "it is not a folder")
    read: set[Path] = set()
    folders, links = deque([(root, root.resolve())]), deque[tuple[Path, Path]]()
    while folders or links:
        folder, place = (folders or links).popleft()
        if place in read:
            skipped[LINK] += 1
            continue
        read.add(place)
        for path in sorted(folder.iterdir()):
            relative = _composed(path.relative_to(root).as_posix())
            if not path.is_dir():
                yield FoundFile(path=path, relative=relative)
            elif reason := pattern.may_match_within(relative) and reason_to_skip(f"{relative}/-"):
                skipped[reason] += 1
            elif pattern.may_match_within(relative):
                (links if path.is_symlink() else folders).append((path, path.resolve()))


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """An object by its exact key, including ``//``, ``..`` or a trailing blank."""

    fs: Any
    path: str
    label: str

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return self.label


def _walk_object_store(root: Any, written: str) -> Iterator[FoundFile]:
    """List a prefix in as few requests as the store allows, and remove the prefix from the paths."""
    label = str(root)
    slashes = "/" * max(1, len(written) - len(written.rstrip("/")))
    prefix = root.path.rstrip("/") + slashes
    root.fs.invalidate_cache()  # an earlier listing in this process may be stale
    entries = root.fs.find(root.path, detail=True)
    if not entries and not root.fs.exists(root.path):
        raise _folder_problem(label, "it does not exist")
    for full, info in entries.items():
        relative = full.removeprefix(prefix)
        if info.get("type") == "directory" or full.endswith("/") or not full.startswith(prefix):
            continue  # some stores mark folders with an empty object; a prefix that is a file lists itself
        key = ObjectKey(root.fs, full, label.rstrip("/") + slashes + relative)
        yield FoundFile(path=key, relative=_composed(relative), info=info)


def _composed(relative: str) -> str:
    return unicodedata.normalize("NFC", relative)


def check_name_template(template: Any) -> str:
    """Return a valid name template."""
    try:
        parts = [(field, form) for _, field, form, _ in string.Formatter().parse(template) if field is not None]
        usable = bool(parts) and all(field in _PLACEHOLDERS and "{" not in (form or "") for field, form in parts)
        if usable:
            library_name("banner.jpg", template)
    except (TypeError, ValueError):
        usable = False
    if not usable:
        known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
        raise MediaConfigurationError(
            f"name_template must be a string with at least one of {known} and no other placeholder, not {template!r}.",
        )
    return str(template)


def library_name(relative: str, template: str) -> str:
    """Return the name of a file in the library."""
    name = relative.rpartition("/")[2]
    path = PurePosixPath(name)
    return template.format(path=relative, name=name, stem=path.stem, suffix=path.suffix)


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
        return any(len(names) in _reached(names, path.split("/")) for names in self._alternatives)

    def may_match_within(self, folder: str) -> bool:
        """Return whether the pattern may match a path within a folder."""
        parts = folder.split("/") if folder else []
        return any(_reached(names, parts) - {len(names)} for names in self._alternatives)


def _reached(names: Sequence[Callable[[str], object] | None], parts: Sequence[str]) -> set[int]:
    """Return the positions in a pattern that can be reached after the parts of a path."""
    positions = _skip_folders(names, {0})
    for part in parts:
        following = ((position, names[position]) for position in positions if position < len(names))
        positions = {at + bool(match) for at, match in following if match is None or match(part)}
        positions = _skip_folders(names, positions)
    return positions


def _skip_folders(names: Sequence[object], positions: set[int]) -> set[int]:
    """Add the positions after each ``**``, which may match no folder."""
    for position, match in enumerate(names):
        if match is None and position in positions:
            positions.add(position + 1)
    return positions


def _expand_braces(pattern: str) -> list[str]:
    """Expand the braces of a pattern, innermost first."""
    expanded, waiting = list[str](), deque([pattern])
    while waiting:
        one = waiting.popleft()
        found = _BRACES.search(one)
        if found is None:
            expanded.append(one)
            continue
        waiting += (one[: found.start()] + choice + one[found.end() :] for choice in found[1].split(","))
        if len(expanded) + len(waiting) > MAX_ALTERNATIVES:
            raise MediaConfigurationError(
                f"The braces of the pattern {pattern[:200]!r} expand to more than {MAX_ALTERNATIVES} patterns. Use"
                " fewer alternatives, or wildcards.",
            )
    return list(dict.fromkeys(expanded))


def reason_to_skip(path: str) -> str | None:
    """Return the name or pattern that makes a sync skip a file; None if it does not."""
    *folders, name = path.split("/")
    for folder in folders:
        if _is_hidden(folder) or folder.lower() in map(str.lower, SKIPPED_FOLDERS):
            return f"{folder}/"
    if _is_hidden(name):
        return ".*"
    return next((pattern for pattern in SKIPPED_FILES if fnmatchcase(name.lower(), pattern.lower())), None)


def _is_hidden(name: str) -> bool:
    """Return whether a name starts with a period; ``.`` and ``..`` are not hidden, because object keys contain them."""
    return name.startswith(".") and name not in {".", ".."}

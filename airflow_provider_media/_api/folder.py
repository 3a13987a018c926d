"""Which files a folder or an object store's prefix holds, and what they are to be called in the library."""

from __future__ import annotations

import os
import string
import unicodedata
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.object_source import may_pass
from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media._api.source import is_object_path, local_path, missing_reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CLUTTER = {"thumbs.db", "desktop.ini"}
"""What file managers leave behind, in lower case; what begins with a dot is passed over as well."""

_PLACEHOLDERS = ("path", "name", "stem", "suffix")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """One file of a folder.

    :param path: what opens it: a local path, or that of an object store.
    :param relative: its path in the folder, with ``/`` and in Unicode's composed form (NFC), whatever the file system
        writes: so that one file has one name everywhere.
    :param facts: what the listing of an object store tells of it, the size among it.
    """

    path: Any
    relative: str
    facts: Mapping[str, Any] | None = None


def find_files(root: Any, pattern: str = "**/*") -> list[FoundFile]:
    """List the files of a folder, sorted by their relative paths; all of them are looked at once.

    Hidden files and folders, what file managers leave behind, and folders themselves are passed over. Links are
    followed, but no folder is walked within itself.

    :param root: a local path, or an object store's path object (Airflow's ``ObjectStoragePath``).
    :param pattern: which files, by their relative paths: ``*``, ``?`` and ``[...]`` stay within one name, ``**`` stands
        for any number of folders; upper and lower case differ.
    :raises Problem: of kind FILE when there is no such folder, it cannot be read, or nothing in it matches; of kind
        UNAVAILABLE when an object store does not answer.
    """
    if isinstance(root, (str, os.PathLike)) and str(root) in {"", "None"}:
        raise _folder_problem(str(root), "it is not the path of a folder; did a template come out empty?")
    root = local_path(root)
    try:
        found = list(_walk_object_store(root) if is_object_path(root) else _walk(Path(root)))
    except Problem:
        raise
    except Exception as error:
        problem = _folder_problem(str(root), f"{getattr(error, 'strerror', None) or error}".rstrip("."))
        if is_object_path(root) and may_pass(error):
            problem.kind = Kind.UNAVAILABLE
        raise problem from error
    wanted = pattern.strip("/").split("/")
    kept = [file for file in found if not _is_clutter(file.relative) and _matches(file.relative.split("/"), wanted)]
    if not kept:
        among = f"none of its {len(found)} files matches {pattern!r}" if found else "it holds no files"
        raise _folder_problem(str(root), among)
    return sorted(kept, key=lambda file: file.relative)


def _folder_problem(label: str, reason: str) -> Problem:
    ending = "" if reason.endswith("?") else "."
    return Problem(Kind.FILE, f"The folder {label!r} cannot be synced: {reason}{ending}")


def _walk(root: Path) -> Iterator[FoundFile]:
    if not root.exists():
        raise _folder_problem(str(root), missing_reason(root))
    if not root.is_dir():
        raise _folder_problem(str(root), "it is not a folder")

    yield from _walk_within(root, root, on_the_way=frozenset({root.resolve()}))


def _walk_within(folder: Path, root: Path, *, on_the_way: frozenset[Path]) -> Iterator[FoundFile]:
    """Walk one folder; by links, the way may lead back into a folder that it came through."""
    for path in folder.iterdir():
        if not path.is_dir():
            yield FoundFile(path=path, relative=_composed(path.relative_to(root).as_posix()))
        elif not path.name.startswith(".") and (place := path.resolve()) not in on_the_way:
            yield from _walk_within(path, root, on_the_way=on_the_way | {place})


def _walk_object_store(root: Any) -> Iterator[FoundFile]:
    """Walk a prefix in as few listings as the store allows; its own paths are full ones, so the prefix is cut off."""
    prefix = root.path.rstrip("/")
    root.fs.invalidate_cache()  # an earlier listing in this process may be old by now
    entries = root.fs.find(root.path, detail=True)
    if not entries and not root.fs.exists(root.path):
        raise _folder_problem(str(root), "it does not exist")
    for full, facts in entries.items():
        relative = full.removeprefix(prefix).lstrip("/")
        if facts.get("type") == "directory" or full.endswith("/") or not full.startswith(prefix + "/"):
            continue  # some stores mark folders with an empty object; a prefix that is a file finds itself
        yield FoundFile(path=root / relative, relative=_composed(relative), facts=facts)


def _composed(relative: str) -> str:
    return unicodedata.normalize("NFC", relative)


def _is_clutter(relative: str) -> bool:
    parts = relative.split("/")
    return any(part.startswith(".") for part in parts) or parts[-1].lower() in _CLUTTER


def _matches(parts: list[str], wanted: list[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_matches(parts[skipped:], wanted[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], _composed(wanted[0])) and _matches(parts[1:], wanted[1:])


def check_name_template(template: Any) -> str:
    """Return a name template that can be filled in.

    :raises Problem: of kind CONFIGURATION.
    """
    try:
        parts = [(field, form) for _, field, form, _ in string.Formatter().parse(template) if field is not None]
        usable = bool(parts) and all(field in _PLACEHOLDERS and "{" not in (form or "") for field, form in parts)
        if usable:
            library_name("banner.jpg", template)
    except (TypeError, ValueError):
        usable = False
    if not usable:
        known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
        raise Problem(
            Kind.CONFIGURATION,
            f"name_template must be a text with at least one of {known} and no other placeholder, not {template!r}.",
        )
    return str(template)


def library_name(relative: str, template: str) -> str:
    """Give the name that a file gets in the library.

    :param relative: the file's path in its folder.
    :param template: with ``{path}`` (the whole relative path), ``{name}`` (its last part), ``{stem}`` and ``{suffix}``
        (the last part's two halves: ``banner`` and ``.jpg``).
    """
    path = PurePosixPath(relative)
    return template.format(path=relative, name=path.name, stem=path.stem, suffix=path.suffix)

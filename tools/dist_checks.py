"""Checks of the wheel and the source archive, for ``tools/dist.py``."""

from __future__ import annotations

import json
import re
import tarfile
import tomllib
import zipfile
from configparser import ConfigParser
from typing import TYPE_CHECKING, Any

from packaging.metadata import parse_email
from packaging.requirements import Requirement
from sbom import make_sbom, sbom_name

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "airflow_provider_media"

_REQUIRED = ("py.typed", "sandbox/openapi.yaml", "plugins/page/")
_SDIST_FILES = {"LICENSE", "PACKAGE.md", "pyproject.toml"}
_GENERATED = ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
_IGNORED_METADATA = {"metadata_version", "import_names"}
_RELATIVE_LINK = re.compile(r"\]\((?!https?://|#)([^)]+)\)|<(?:img|a)\b[^>]*?(?:src|href)=[\"'](?!https?://)([^\"']+)")
_CODE = re.compile(r"^```\w+\n.*?^```", re.DOTALL | re.MULTILINE)


class DistError(Exception):
    """A check of an archive failed."""


def check_wheel(wheel: Path, source: Path) -> None:
    """Compare a wheel with the package's files, and its metadata with ``pyproject.toml``.

    :raises DistError: a file or a value is missing, unexpected or different.
    """
    project = read_project(source)
    about = f"{PACKAGE}-{read_version(source)}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    generated = {
        name: found.get(f"{about}/{name}", b"") for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
    }
    expected = _package_files(source)
    sbom = json.dumps(make_sbom(project, read_version(source)), indent=2) + "\n"
    expected[sbom_name(project, read_version(source))] = sbom.encode()
    expected[f"{about}/licenses/LICENSE"] = (source / "LICENSE").read_bytes()
    _compare_files(wheel.name, found, expected | {f"{about}/{name}": content for name, content in generated.items()})
    if missing := [name for name in _REQUIRED if not any(file.startswith(f"{PACKAGE}/{name}") for file in found)]:
        raise DistError(f"the package has no {', '.join(missing)}.")
    _compare_values(wheel.name, _read_metadata(generated["METADATA"]), _expected_metadata(project, source))
    entry_points = {**project["entry-points"], "console_scripts": project["scripts"]}
    _compare_values(wheel.name, _read_entry_points(generated["entry_points.txt"]), entry_points)


def check_sdist(sdist: Path, wheel: Path, source: Path) -> None:
    """Compare a source archive with the package's files, and its metadata with the wheel's.

    :raises DistError: a file or a value is missing, unexpected or different.
    """
    root = f"{PACKAGE}-{read_version(source)}"
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
        if others := [member.name for member in members if not member.isreg()]:
            raise DistError(f"{sdist.name} must contain only files, not {', '.join(others)}.")
        found = {member.name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    with zipfile.ZipFile(wheel) as built:
        metadata = built.read(f"{root}.dist-info/METADATA")
    expected = _package_files(source) | {name: (source / name).read_bytes() for name in _SDIST_FILES}
    expected["PKG-INFO"] = metadata
    _compare_files(sdist.name, found, {f"{root}/{name}": content for name, content in expected.items()})


def check_long_description(source: Path) -> None:
    """Check that PACKAGE.md has no relative links, and that its code is in the README, which the tests run.

    :raises DistError: a link is relative, or code is not in the README.
    """
    text, readme = ((source / name).read_text() for name in ("PACKAGE.md", "README.md"))
    if links := ["".join(found) for found in _RELATIVE_LINK.findall(text)]:
        raise DistError(f"PACKAGE.md has relative links, which a package index cannot resolve: {', '.join(links)}.")
    known = {line.strip() for block in _CODE.findall(readme) for line in block.splitlines()}
    if unknown := [line for block in _CODE.findall(text) for line in block.splitlines() if line.strip() not in known]:
        raise DistError(f"PACKAGE.md has code that is not in the README: {unknown[0].strip()}")


def read_project(source: Path) -> dict[str, Any]:
    """Return the table ``project`` of ``pyproject.toml``."""
    return dict(tomllib.loads((source / "pyproject.toml").read_text())["project"])


def read_version(source: Path) -> str:
    """Read the dynamic version."""
    (version,) = re.findall(r'^__version__ = "(.+)"', (source / PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    return str(version)


def _expected_metadata(project: dict[str, Any], source: Path) -> dict[str, Any]:
    requirements = set(map(Requirement, project["dependencies"]))
    for extra, needed in project["optional-dependencies"].items():
        requirements |= {Requirement(f'{requirement} ; extra == "{extra}"') for requirement in needed}
    return {
        "name": project["name"],
        "version": read_version(source),
        "summary": project["description"],
        "description": (source / project["readme"]).read_text().strip(),
        "description_content_type": "text/markdown",
        "keywords": set(project["keywords"]),
        "classifiers": set(project["classifiers"]),
        "license_expression": project["license"],
        "license_files": set(project["license-files"]),
        "requires_python": project["requires-python"],
        "requires_dist": requirements,
        "provides_extra": set(project["optional-dependencies"]),
        "author": ", ".join(author["name"] for author in project["authors"]),
    } | ({"project_urls": project["urls"]} if "urls" in project else {})


def _read_metadata(content: bytes) -> dict[str, Any]:
    raw, unparsed = parse_email(content)
    found: dict[str, Any] = {**raw, **unparsed}
    for name in _IGNORED_METADATA:
        found.pop(name, None)
    found["description"] = found.get("description", "").strip()
    found["requires_dist"] = set(map(Requirement, found.get("requires_dist", ())))
    return {name: set(value) if isinstance(value, list) else value for name, value in found.items()}


def _read_entry_points(content: bytes) -> dict[str, dict[str, str]]:
    parser = ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keep the case of names
    parser.read_string(content.decode())
    return {group: dict(parser[group]) for group in parser.sections()}


def _package_files(source: Path) -> dict[str, bytes]:
    files = [path for path in (source / PACKAGE).rglob("*") if path.is_file()]
    return {path.relative_to(source).as_posix(): path.read_bytes() for path in files}


def _compare_files(archive: str, found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    changed = {name for name in found.keys() & expected.keys() if found[name] != expected[name]}
    for difference, names in {
        "missing": expected.keys() - found.keys(),
        "unexpected": found.keys() - expected.keys(),
        "different": changed,
    }.items():
        if names:
            raise DistError(f"{difference} files in {archive}: {', '.join(sorted(names))}.")


def _compare_values(archive: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in sorted(found.keys() | expected.keys()):
        actual, declared = found.get(name), expected.get(name)
        if actual != declared:
            raise DistError(
                f"{archive}: {name} is {_difference(actual, declared)}, but pyproject.toml has"
                f" {_difference(declared, actual)}."
            )


def _difference(value: Any, other: Any) -> str:
    """Format a value; for sets, only the elements that ``other`` does not contain."""
    if isinstance(value, set) and isinstance(other, set):
        return ", ".join(sorted(map(str, value - other))) or "nothing"
    return str(value)
